"""Samples from a generator, as a person would draw them: fixed latents, evaluation mode, no graph."""

import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts

SAMPLES_PER_CALL = 256  # bounds the memory of a large request; part of the bytes, so never a setting


@torch.no_grad()
def sample(generator: nn.Module, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Return samples (N, *shape) on the host, in network units. The generator's mode is left as it was."""
    was_training = generator.training
    generator.eval()
    batches = []
    for first in range(0, len(latents), SAMPLES_PER_CALL):
        rows = slice(first, first + SAMPLES_PER_CALL)
        batches.append(generator(latents[rows], None if labels is None else labels[rows]))
    generator.train(was_training)
    return torch.cat(batches).cpu()  # sync: once per call


def shown_labels(count: int, facts: DatasetFacts) -> Tensor:
    """Return `count` labels in order: in the proportions of the data where it is to be shown so, else evenly."""
    if not facts.label_counts:
        return even_labels(count, len(facts.labels))
    ends = torch.tensor(facts.label_counts, dtype=torch.float64).cumsum(dim=0)
    return torch.bucketize((torch.arange(count) + 0.5) / count * ends[-1], ends)


def even_labels(count: int, classes: int) -> Tensor:
    """Return `count` labels in order, each class as often as the others, give or take one."""
    return torch.arange(count) * classes // count

"""Samples from a generator, as a person would draw them: fixed latents, evaluation mode, no graph."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from service.spec.facts import DatasetFacts

SAMPLES_PER_CALL = 256  # bounds the memory of a large request; part of the bytes, so never a setting


def tell_nobody(_: int) -> None:
    """Hear of so many more samples, and do nothing."""


@torch.no_grad()
def sample(
    generator: nn.Module, latents: Tensor, labels: Tensor | None, tell: Callable[[int], None] = tell_nobody
) -> Tensor:
    """Return samples (N, *shape) on the host, in network units. The generator's mode is left as it was.

    tell hears how many more there are, now and then.
    """
    was_training = generator.training
    generator.eval()
    batches = []
    for first in range(0, len(latents), SAMPLES_PER_CALL):
        rows = slice(first, first + SAMPLES_PER_CALL)
        batches.append(generator(latents[rows], None if labels is None else labels[rows]))
        tell(len(batches[-1]))
    generator.train(was_training)
    return torch.cat(batches).cpu()  # sync: once per call


def shown_labels(count: int, facts: DatasetFacts, among: Sequence[int] | None = None) -> Tensor:
    """Return `count` labels in order: in the proportions of the data where it is to be shown so, else evenly.

    among leaves only some of the labels.
    """
    left = torch.tensor(range(len(facts.labels)) if among is None else among)
    if not facts.label_counts:
        return left[even_labels(count, len(left))]
    ends = torch.tensor(facts.label_counts, dtype=torch.float64)[left].cumsum(dim=0)
    return left[torch.bucketize((torch.arange(count) + 0.5) / count * ends[-1], ends)]


def even_labels(count: int, classes: int) -> Tensor:
    """Return `count` labels in order, each class as often as the others, give or take one."""
    return torch.arange(count) * classes // count


def label_odds(facts: DatasetFacts, among: Sequence[int] | None = None) -> Tensor:
    """Return how likely each label (C,) is to be drawn at random, in the shares that shown_labels keeps to."""
    odds = torch.tensor(facts.label_counts or [1] * len(facts.labels), dtype=torch.float64)
    if among is None:
        return odds
    left = torch.zeros_like(odds)
    left[list(among)] = odds[list(among)].clamp_min(1)  # a class without rows can be asked for all the same
    return left

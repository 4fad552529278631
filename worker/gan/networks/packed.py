"""A discriminator of packs, Lin et al. 2018 (arXiv 1712.04086): samples that are all alike stand out side by side."""

from dataclasses import replace

import torch
from torch import Tensor

from service.spec.sizes.packing import packed_facts
from worker.gan.data.training_data import TrainingData
from worker.gan.networks.groups import in_groups, pack
from worker.gan.networks.players import Discriminator


class Packed(Discriminator):
    """Let a discriminator that was built for packs score samples (N, *shape), `count` at a time, as (N / count,)."""

    def __init__(self, discriminator: Discriminator, count: int, classes: int) -> None:
        super().__init__()
        self.discriminator, self.count, self.classes = discriminator, count, classes

    def forward(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Score each pack."""
        logits: Tensor = self.discriminator(pack(samples, self.count), self._places(labels))
        return logits

    def reconstruction_loss(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Draw whole packs again."""
        return self.discriminator.reconstruction_loss(pack(samples, self.count), random)

    def _places(self, labels: Tensor | None) -> Tensor | None:
        """Number the labels (N,) apart for each place in a pack: (N / count, count)."""
        if labels is None:
            return None
        return in_groups(labels, self.count) + self.classes * torch.arange(self.count, device=labels.device)


def packed_data(data: TrainingData, count: int) -> TrainingData:
    """Return specimens of the data as packs, for a discriminator to be built by."""
    return replace(
        data, facts=packed_facts(data.facts, count), samples=pack(data.specimens(), count), labels=None, held_out=None
    )

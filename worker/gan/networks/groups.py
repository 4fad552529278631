"""Layers across samples: how varied a group of them is, and several of them as one."""

import torch
from torch import Tensor, nn

LEAST_VARIANCE = 1e-8  # the paper's; the root of 0 has no slope


class GroupSpread(nn.Module):
    """Tell D how varied the samples beside each one are (Karras et al. 2018, arXiv 1710.10196, section 3).

    The paper does so before the last convolutions, this one before the last layer, which all networks have. Logits then
    depend on all samples of a group, and so does a slope: that of the sum of the logits.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Tensor) -> Tensor:
        """Append to features (N, F) the mean of their deviations within each group."""
        deviations = (in_groups(features, self.size).var(dim=1, correction=0) + LEAST_VARIANCE).sqrt()
        spread = deviations.mean(dim=1, keepdim=True).expand(-1, self.size).reshape(-1, 1)
        return torch.cat([features, spread[: len(features)]], dim=1)


def in_groups(rows: Tensor, size: int) -> Tensor:
    """Return rows (N, ...) as groups (N / size, size, ...) of consecutive ones.

    Batches of a training are multiples of the size. Where others are scored, the first rows fill up the last group.
    """
    if len(rows) % size:
        rows = rows[torch.arange(len(rows) + -len(rows) % size, device=rows.device) % len(rows)]
    return rows.reshape(-1, size, *rows.shape[1:])


def pack(samples: Tensor, count: int) -> Tensor:
    """Put so many samples (N, C, ...) side by side: (N / count, count C, ...)."""
    return in_groups(samples, count).flatten(1, 2)

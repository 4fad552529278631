"""Instance noise, Sonderby et al. 2017 (arXiv 1610.04490): blurs both distributions so that they overlap."""

import torch
from torch import Tensor


def add_noise(samples: Tensor, random: torch.Generator, *, deviation: float) -> Tensor:
    """Add independent normal noise to every number of the samples, in network units."""
    noise = torch.randn(samples.shape, generator=random)  # on the host, so that devices see the same
    return samples + deviation * noise.to(samples)

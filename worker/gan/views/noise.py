"""Instance noise, Sonderby et al. 2017 (arXiv 1610.04490): blurs both distributions so that they overlap."""

import torch
from torch import Tensor

from worker.gan.rounds import View


class Noise(View):
    """Independent normal noise of a deviation in network units."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self._deviation = deviation

    def forward(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Add it to every number of the samples."""
        noise = torch.randn(samples.shape, generator=random)  # on the host, so that devices see the same
        return samples + self._deviation * noise.to(samples)

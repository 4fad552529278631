"""The exponential moving average of the generator, measured in samples so that it does not depend on the batch size."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from service.spec.parts.model import EmaSpec
from worker.gan.schedules import fraction_at


class Average:
    """A copy of a network that follows it. Weights are averaged, buffers such as running statistics are copied."""

    def __init__(self, network: nn.Module, spec: EmaSpec) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self._spec = spec
        self._averaged: list[Tensor] = list(self.network.parameters())
        self._followed: list[Tensor] = list(network.parameters())
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    def share_at(self, new_samples: int, *, samples_seen: int, step: int) -> float:
        """Return how far to move after `new_samples` more, `samples_seen` in all with them and `step` steps before.

        With a half-life of 0 the average is the network itself.
        """
        length = half_life(self._spec, samples_seen=samples_seen, step=step)
        return 1.0 - 0.5 ** (new_samples / length) if length > 0 else 1.0

    @torch.no_grad()
    def follow(self, share: float | Tensor) -> None:
        """Move a share, in [0, 1], of the way towards the network."""
        if isinstance(share, Tensor):
            for averaged, followed in zip(self._averaged, self._followed, strict=True):
                averaged.lerp_(followed, share)
        else:
            torch._foreach_lerp_(self._averaged, self._followed, share)
        for copied, buffer in self._buffers:
            copied.copy_(buffer)


def half_life(spec: EmaSpec, *, samples_seen: int, step: int) -> float:
    """Return the half-life in samples: short at the start, when the network is still far from where it goes.

    The ramp is that of Karras et al. 2020 (StyleGAN2-ADA), a fraction of the samples seen.
    """
    scheduled = spec.half_life_samples * fraction_at(spec.schedule, step)
    return scheduled if spec.ramp == 0 else min(scheduled, spec.ramp * samples_seen)

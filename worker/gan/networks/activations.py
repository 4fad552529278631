"""The functions between layers by their names in a spec, and the clamp at the end of a generator of pictures."""

from typing import Any

import torch
from torch import Tensor, nn

LEAK = 0.2


def make_activation(name: str) -> nn.Module:
    """Make the activation that a NetworkSpec names."""
    return nn.SiLU() if name == "silu" else nn.LeakyReLU(LEAK)


def he_gain(name: str) -> float:
    """Return the factor that keeps the second moment through the activation, by He et al. 2015."""
    return 1.676 if name == "silu" else (2 / (1 + LEAK**2)) ** 0.5  # silu: 1 / sqrt(E silu(x)^2), x normal


class PixelClamp(torch.autograd.Function):
    """Clamp to [-1, 1]; outside, the gradient passes only where descent leads back in.

    A plain clamp has no gradient outside, so a pixel once out would never return.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(pixels: Tensor) -> Tensor:
        """Cut what lies outside."""
        return pixels.clamp(-1, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], _output: Tensor) -> None:
        """Keep the unclamped pixels."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Drop what would push a pixel further out."""
        pixels: Tensor = ctx.saved_tensors[0]
        return gradient * ((pixels * gradient >= 0) | (pixels.abs() <= 1))


def clamp_pixels(pixels: Tensor) -> Tensor:
    """Clamp to [-1, 1] with gradients that can lead back in."""
    clamped: Tensor = PixelClamp.apply(pixels)  # type: ignore[no-untyped-call]
    return clamped

"""The weights that convolutions begin with."""

from math import prod

import torch
from torch import nn


def initialise_convolutions(layers: nn.Module, gain: float, random: torch.Generator) -> None:
    """Draw normal weights that keep the second moment, by He et al. 2015; biases are 0. The farther a transposed one
    strides, the fewer are read.
    """
    for layer in layers.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d):
            strides = prod(layer.stride) if isinstance(layer, nn.ConvTranspose1d) else 1
            read = layer.in_channels * prod(layer.kernel_size) / strides
            nn.init.normal_(layer.weight, std=gain / read**0.5, generator=random)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

"""The whole state of a training as plain tensors and facts. How it becomes a file: files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worker.gan.data.training_data import TrainingData
from worker.gan.player import Player, laid_out_as

ENCODING = "encoding"
BACKDROP = "backdrop"


@dataclass(frozen=True)
class TrainingState:
    """A snapshot on the host that shares no memory with the training. facts can be written as JSON."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors, where they are, under names that begin with the prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the host."""
    return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}  # sync


def learnt_of(data: TrainingData) -> dict[str, Tensor]:
    """Return what a generator's file needs of the data: what its encoding has learnt, the backdrop of its pictures."""
    backdrop = data.backdrop()
    learnt = data.encoding.learnt() | ({} if backdrop is None else {BACKDROP: backdrop})
    return {f"{ENCODING}.{name}": torch.from_numpy(np.array(value)) for name, value in learnt.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one prefix under their own names."""
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


def optimizer_tensors(player: Player) -> dict[str, Tensor]:
    """Return every tensor that the optimiser keeps, named after its parameter and its role, whatever the optimiser."""
    return {
        f"{name}.{role}": value
        for name, kept in _kept_by_parameter(player)
        for role, value in kept.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(player: Player, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimiser back what optimizer_tensors answered. Rates are not restored: they follow the step."""
    kept: dict[int, dict[str, Tensor]] = {}
    parameters = dict(player.network.named_parameters())
    indices = {name: index for index, name in enumerate(parameters)}
    for full_name, value in tensors.items():
        name, _, role = full_name.rpartition(".")
        parameter = parameters[name]
        laid_out = laid_out_as(parameter, value) if value.shape == parameter.shape else value
        kept.setdefault(indices[name], {})[role] = laid_out
    player.optimizer.load_state_dict({**player.optimizer.state_dict(), "state": kept})


def _kept_by_parameter(player: Player) -> Iterable[tuple[str, dict[str, Any]]]:
    kept = player.optimizer.state_dict()["state"]
    return ((name, kept.get(index, {})) for index, name in enumerate(_parameter_names(player.network)))


def _parameter_names(network: nn.Module) -> Iterable[str]:
    return (name for name, _ in network.named_parameters())


def load_network(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights and buffers in place; raises RuntimeError when a name is missing, unknown or of another shape."""
    with torch.no_grad():
        network.load_state_dict(tensors)

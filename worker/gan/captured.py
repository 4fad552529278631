"""Whole steps captured as CUDA graphs: the GPU is handed some hundred kernels at once, not one after the other."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.gan.player import Player
from worker.gan.whole_step import BuildFailed, Due, Inputs, Play, undone

WARM_UPS = 3
"""How often a step is played before it is captured, so that libraries and optimisers have made all they need."""


class CaptureFailed(BuildFailed):
    """The GPU could not capture a step."""

    who = "the capture"


class RatedPlayer:
    """A player whose optimiser, Adam or AdamW, reads its learning rate from the device."""

    def __init__(self, player: Player) -> None:
        self.network, self.parameters = player.network, player.parameters
        self._player = player
        self._rates, self._made, self.moves = torch.empty(0, 1), 0, True

    def forget(self) -> None:
        """Nothing to forget: the optimiser itself is used."""

    def plan(self, step: int, updates: int) -> list[tuple[float, ...]]:
        """Return the rate of each update."""
        lr = self._player.lr_at(step)
        self.moves = lr != 0  # at rate 0 not a bit changes, as in Player
        return [(lr,)] * updates

    def begin(self, numbers: Tensor) -> None:
        """Hand over the rates, as a tensor (updates, 1)."""
        self._rates, self._made = numbers, 0

    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """Make the next of the planned updates."""
        rate = self._rates[self._made, 0].float()  # the fused optimisers take no other, whatever the weights are
        self._made += 1
        if self.moves:
            self._player.move(gradients, lr=rate, capturable=True)


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: Inputs  # that the graph reads, always the same memory
    measured: Tensor  # that it writes


class Captured:
    """Captures a step of each kind and replays it on the inputs of all.

    Every step is a replay, the first of a kind too, so that none differs from others by a last bit: what is played
    before the capture is undone. `changing` returns all tensors that a step changes, by their names.
    """

    def __init__(self, changing: Callable[[], Mapping[str, Tensor]]) -> None:
        self._changing = changing
        self._recordings: dict[Hashable, _Recording] = {}

    def carry_out(self, due: Due) -> Tensor:
        """Take a step; what is returned is overwritten by the next. Raises CaptureFailed."""
        if due.kind not in self._recordings:
            self._recordings[due.kind] = self._record(due.play, due.inputs)
        recording = self._recordings[due.kind]
        for kept, given in zip(recording.inputs.tensors(), due.inputs.tensors(), strict=True):
            kept.copy_(given, non_blocking=True)
        recording.graph.replay()
        return recording.measured

    def forget(self) -> None:
        """Drop what was captured: it refers to the optimisers' former state."""
        self._recordings.clear()

    def _record(self, play: Play, inputs: Inputs) -> _Recording:
        kept = deepcopy(inputs)
        self._warm_up(play, kept)
        try:
            graph = torch.cuda.CUDAGraph()
            # Only this thread may not wait for the device meanwhile; others fetch the numbers of steps before.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                measured = play(kept)
        except torch.OutOfMemoryError:
            raise  # which no other way of taking steps would help
        except RuntimeError as error:
            raise CaptureFailed(f"{type(error).__name__}: {error}") from error
        return _Recording(graph, kept, measured)

    def _warm_up(self, play: Play, inputs: Inputs) -> None:
        """Play a step a few times and undo it."""
        gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=gpus), undone(self._changing), torch.enable_grad():
            for _ in range(WARM_UPS):
                play(inputs)

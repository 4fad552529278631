"""Whole steps compiled to native code. Only Adam is written a second time for it."""

import os
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch
import torch._inductor.config
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from worker.gan.optimizers import betas_at
from worker.gan.player import Player, clip_gradients, clip_weights
from worker.gan.whole_step import BuildFailed, Inputs, Play


class CompilerFailed(BuildFailed):
    """The compiler could not do its work: none is there, it broke off, or what it had built cannot be loaded."""

    who = "the compiler"


def remember_compiled(directory: Path) -> None:
    """Keep what is compiled in a directory, so that the next training of the same shape begins in seconds."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(directory)
    torch._inductor.config.compile_threads = 1  # others would be processes that nobody watches over  # noqa: SLF001


class Compiled:
    """Compiles the first step of each kind, which takes from seconds to a minute, and remembers it for the others."""

    def __init__(self, compiler: str) -> None:
        torch._dynamo.config.trace_autograd_ops = True  # noqa: SLF001 (else every gradient would end the graph)
        self._compiler = compiler
        self._compiled: Play | None = None

    def carry_out(self, play: Play, inputs: Inputs, kind: Hashable) -> Tensor:
        """Run the native code of a step; torch itself tells kinds apart. Raises CompilerFailed."""
        if self._compiled is None:
            self._compiled = torch.compile(play, fullgraph=True, dynamic=False, backend=self._compiler)
        try:
            return self._compiled(inputs)
        except TorchDynamoException as error:
            raise CompilerFailed(f"{type(error).__name__}: {error}") from error

    def forget(self) -> None:
        """Nothing refers to the optimisers: the native code is handed their state with each call."""


class WrittenOutAdam:
    """A player whose optimiser, Adam or AdamW, is written out for the compiler. Moments stay where torch keeps them."""

    def __init__(self, player: Player) -> None:
        self.network, self.parameters = player.network, player.parameters
        self._player, self._spec = player, player.spec
        self._decays_weights = player.spec.name == "adamw"

        # The moments of each parameter and how many updates they have seen, unknown before the first.
        self._updates: int | None = None
        self._steps: list[Tensor] = []
        self._first: list[Tensor] = []
        self._second: list[Tensor] = []

        # The step being taken: what its updates are made with (updates, 5), how many are made, whether any moves.
        self._numbers, self._made, self.moves = torch.empty(0, 5), 0, True

    def forget(self) -> None:
        """Take over the moments anew, before the next update; they have been put in place of those before."""
        self._updates = None

    def _take_over(self) -> int:
        """Find the moments, which are 0 before the first update; return how many updates they have seen."""
        kept = self._player.optimizer.state
        for parameter in self.parameters:
            if not kept[parameter]:
                kept[parameter]["step"] = torch.zeros(())
                kept[parameter]["exp_avg"] = torch.zeros_like(parameter)
                kept[parameter]["exp_avg_sq"] = torch.zeros_like(parameter)
        self._steps = [kept[parameter]["step"] for parameter in self.parameters]
        self._first = [kept[parameter]["exp_avg"] for parameter in self.parameters]
        self._second = [kept[parameter]["exp_avg_sq"] for parameter in self.parameters]
        return int(self._steps[0])  # the host asks once after each restore

    def plan(self, step: int, updates: int) -> list[tuple[float, ...]]:
        """Count the coming updates; return what each is made with: rate, decays, the weight that moments then have."""
        lr, (first, second) = self._player.lr_at(step), betas_at(self._spec, step)
        self.moves = lr != 0  # at rate 0 not a bit changes, as in Player
        if not self.moves:
            return [(0.0,) * 5] * updates
        before = self._take_over() if self._updates is None else self._updates
        self._updates = before + updates
        torch._foreach_add_(self._steps, updates)
        counts = range(before + 1, self._updates + 1)
        return [(lr, first, second, 1 - first**count, 1 - second**count) for count in counts]

    def begin(self, numbers: Tensor) -> None:
        """Hand over what plan answered, as a tensor (updates, 5)."""
        self._numbers, self._made = numbers, 0

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """Make the next of the planned updates: Kingma and Ba 2015, and Loshchilov and Hutter 2019 for AdamW."""
        lr, first, second, first_weight, second_weight = self._numbers[self._made].unbind()
        self._made += 1
        if not self.moves:
            return
        clipped = clip_gradients(gradients, self._spec.clip_gradient)
        for parameter, gradient, mean, square in zip(self.parameters, clipped, self._first, self._second, strict=True):
            if self._decays_weights:
                parameter.mul_(1 - lr * self._spec.weight_decay)
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).add_((1 - second) * gradient * gradient)
            parameter.sub_((lr / first_weight) * mean / ((square / second_weight).sqrt() + self._spec.eps))
        clip_weights(self.parameters, self._spec.clip_weights)

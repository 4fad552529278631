"""Whole steps compiled to native code. Only Adam is written a second time for it."""

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._inductor.config
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from worker.gan.optimizers import betas_at
from worker.gan.player import Player, clip_gradients, clip_weights
from worker.gan.traced import Trace, trace
from worker.gan.whole_step import BuildFailed, Due, Inputs, Play

_OPTIONS = {
    "size_asserts": False,  # all steps are handed tensors of the shapes that the first was made for
}
Native = Callable[..., Tensor]
Tracer = Callable[[Play, Inputs, Callable[[], Mapping[str, Tensor]]], Trace]
Compiler = Callable[[GraphModule, Sequence[Tensor]], Native]
"""Makes a function of the graph of a step, for tensors such as the given ones. Raises RuntimeError or OSError."""


class CompilerFailed(BuildFailed):
    """The compiler could not do its work: none is there, it broke off, or what it had built cannot be loaded."""

    who = "the compiler"


def remember_compiled(directory: Path) -> None:
    """Keep what is compiled in a directory, so that the next training of the same shape begins in seconds."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(directory)
    torch._inductor.config.compile_threads = 1  # others would be processes that nobody watches over  # noqa: SLF001


def to_native_code(graph: GraphModule, tensors: Sequence[Tensor]) -> Native:
    """Compile with torch's own compiler, from seconds to a minute. Raises RuntimeError or OSError."""
    # Only for shapes that are looked after does torch keep on disk what it has compiled.
    shapes = TracingContext(FakeTensorMode(shape_env=ShapeEnv(assume_static_by_default=True)))
    with tracing(shapes):
        native: Native = torch._inductor.compile(graph, list(tensors), options=_OPTIONS)  # noqa: SLF001
    return native


@dataclass(frozen=True)
class _Built:
    native: Native
    changed: tuple[str, ...]
    """The names of the tensors that it is handed first."""


class Compiled:
    """Compiles the first step of each kind and remembers it for the others.

    What is compiled is the trace of a step, not its source, so that nothing is looked up or compared at later steps.
    `changing` returns all tensors that a step changes, by name; `tracer` writes a step down.
    """

    def __init__(
        self, changing: Callable[[], Mapping[str, Tensor]], compiler: Compiler, *, tracer: Tracer = trace
    ) -> None:
        self._changing, self._compiler, self._trace = changing, compiler, tracer
        self._built: dict[Hashable, _Built] = {}
        self._state: dict[Hashable, list[Tensor]] = {}

    def carry_out(self, due: Due) -> Tensor:
        """Run the native code of a step. Raises CompilerFailed."""
        kind = due.kind
        if kind not in self._built:
            self._built[kind] = self._build(due.play, due.inputs)
        if kind not in self._state:
            self._state[kind] = self._find(self._built[kind].changed)
        with torch.no_grad():
            return self._built[kind].native(*self._state[kind], *due.inputs.tensors())

    def forget(self) -> None:
        """Find the tensors anew: the optimisers' state has been put in place of that before."""
        self._state.clear()

    def _find(self, names: Sequence[str]) -> list[Tensor]:
        changing = self._changing()
        return [changing[name].detach() for name in names]

    def _build(self, play: Play, inputs: Inputs) -> _Built:
        try:
            traced = self._trace(play, inputs, self._changing)
            with torch.no_grad():
                native = self._compiler(traced.graph, [*self._find(traced.changed), *inputs.tensors()])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, OSError) as error:
            raise CompilerFailed(f"{type(error).__name__}: {error}") from error
        return _Built(native, traced.changed)


class WrittenOutAdam:
    """A player whose optimiser, Adam or AdamW, is written out for the compiler. Moments stay where torch keeps them."""

    def __init__(self, player: Player) -> None:
        self.network, self.parameters = player.network, player.parameters
        self._player, self._spec = player, player.spec
        self._decays_weights = player.spec.name == "adamw"

        # The moments of each parameter and how many updates they have seen, unknown before the first.
        self._updates: int | None = None
        self._count = torch.zeros(())
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
        counts = [kept[parameter]["step"] for parameter in self.parameters if kept[parameter]]
        self._count = counts[0] if counts else torch.zeros(())  # one for all: to count in each would take its time
        for parameter in self.parameters:
            if not kept[parameter]:
                kept[parameter]["exp_avg"] = torch.zeros_like(parameter)
                kept[parameter]["exp_avg_sq"] = torch.zeros_like(parameter)
            kept[parameter]["step"] = self._count
        self._first = [kept[parameter]["exp_avg"] for parameter in self.parameters]
        self._second = [kept[parameter]["exp_avg_sq"] for parameter in self.parameters]
        return int(self._count)  # the host asks once after each restore

    def plan(self, step: int, updates: int) -> list[tuple[float, ...]]:
        """Count the coming updates; return what each is made with: rate, decays, the weight that moments then have."""
        lr, (first, second) = self._player.lr_at(step), betas_at(self._spec, step)
        self.moves = lr != 0  # at rate 0 not a bit changes, as in Player
        if not self.moves:
            return [(0.0,) * 5] * updates
        before = self._take_over() if self._updates is None else self._updates
        self._updates = before + updates
        self._count.add_(updates)
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

"""A step as one function of tensors, so that it can be compiled or recorded as a whole.

It plays the loops that are also played eagerly. Whatever changes from step to step reaches the function as a tensor.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from worker.gan.batches import Batch
from worker.gan.ema import Average
from worker.gan.loops import iterate
from worker.gan.randomness import Stream
from worker.gan.rounds import Penalty, Round, Rules, Side
from worker.gan.turns import Turn

STREAMS = {"original": (Stream.LATENTS, Stream.LATENTS_AGAIN), "reuse": (Stream.LATENTS,), "fused": (Stream.LATENTS,)}
"""Which latents a variant draws in its last round; all rounds before draw the first of them."""


@dataclass(frozen=True)
class Inputs:
    """What a step is played with: the reals and the latents of each round, and numbers.

    The numbers are the share of the average with the weights of the penalties, and what each player's updates are made
    with (updates, numbers).
    """

    reals: list[Batch]
    latents: list[list[Tensor]]
    share_and_weights: Tensor
    updates_of_g: Tensor
    updates_of_d: Tensor

    def tensors(self) -> list[Tensor]:
        """Return all tensors in a fixed order."""
        of_reals = [tensor for batch in self.reals for tensor in (batch.samples, batch.labels) if tensor is not None]
        of_latents = [drawn for each in self.latents for drawn in each]
        return [*of_reals, *of_latents, self.share_and_weights, self.updates_of_g, self.updates_of_d]

    def with_tensors(self, tensors: Iterable[Tensor]) -> "Inputs":
        """Return the same with others in their places."""
        given = iter(tensors)
        return Inputs(
            [Batch(next(given), None if batch.labels is None else next(given)) for batch in self.reals],
            [[next(given) for _ in each] for each in self.latents],
            next(given),
            next(given),
            next(given),
        )


Play = Callable[[Inputs], Tensor]
"""Takes a step and returns the measured columns (M,)."""


@dataclass(frozen=True)
class Due:
    """A step that is to be taken. Steps of one kind consist of the same operations, in every training of one shape."""

    play: Play
    inputs: Inputs
    kind: Hashable


@contextmanager
def undone(changing: Callable[[], Mapping[str, Tensor]]) -> Iterator[None]:
    """Put everything that a step changes back in its place in memory; what an optimiser makes meanwhile began as 0."""
    before = {name: tensor.detach().clone() for name, tensor in changing().items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in changing().items():
                former = before.get(name)
                tensor.zero_() if former is None else tensor.copy_(former)


class BuildFailed(Exception):
    """A step could not be made one function, and why. It was not taken to its end; the training is of no more use."""

    who: str


class PlannedSide(Side, Protocol):
    """A player that says beforehand what its updates are made with, and is handed it as a tensor."""

    moves: bool
    """Whether the planned updates change anything."""

    def plan(self, step: int, updates: int) -> list[tuple[float, ...]]:
        """Count the coming updates; return the numbers that each is made with."""

    def begin(self, numbers: Tensor) -> None:
        """Hand over what plan answered, as a tensor (updates, numbers)."""

    def forget(self) -> None:
        """Take over the optimiser's state anew, before the next update; it has been put in place of that before."""


class Carrier(Protocol):
    """A way to carry out steps that are functions of tensors."""

    def carry_out(self, due: Due) -> Tensor:
        """Take a step and return what it measured. Raises BuildFailed."""

    def forget(self) -> None:
        """Build anew: the optimisers' state has been put in place of that before."""


class WholeStep:
    """Takes the steps of one training, each as one function.

    Kinds of steps differ in the penalties that weigh more than 0 and in the players that move.
    """

    def __init__(
        self,
        variant: str,
        generator: PlannedSide,
        discriminator: PlannedSide,
        *,
        average: Average | None,
        measure: Callable[[Turn, Turn], Tensor],
        carrier: Carrier,
    ) -> None:
        self._variant, self._average, self._measure = variant, average, measure
        self._generator, self._discriminator = generator, discriminator
        self.carrier = carrier
        self._rules: Rules | None = None  # of the step before

    def forget(self) -> None:
        """Take over both players' optimisers anew, after a restore."""
        self._generator.forget()
        self._discriminator.forget()
        self.carrier.forget()

    def take(self, due: Due) -> Tensor:
        """Take a step and return the measured columns (M,). Raises BuildFailed."""
        return self.carrier.carry_out(due)

    def plan(self, rounds: Sequence[Round], *, share: float) -> Due:
        """Prepare a step that plays all rounds and lets the average follow by a share; it must be taken next."""
        last = rounds[-1]
        self._know(last.rules)
        streams = STREAMS[self._variant]

        def to_tensor(numbers: object) -> Tensor:
            # Made on the host: to make it on a GPU would wait for the GPU.
            return torch.tensor(numbers, dtype=last.reals.samples.dtype).to(
                last.reals.samples.device, non_blocking=True
            )

        inputs = Inputs(
            [play.reals for play in rounds],
            [[play.draw_latents(stream) for stream in streams[: None if play is last else 1]] for play in rounds],
            to_tensor([share, *(weight for weight, _ in last.rules.penalties)]),
            to_tensor(self._generator.plan(last.step, 1)),
            to_tensor(self._discriminator.plan(last.step, len(rounds))),
        )
        penalties = tuple(type(penalty) for penalty in _penalties(last.rules))
        return Due(self._play, inputs, (penalties, self._generator.moves, self._discriminator.moves))

    def _know(self, rules: Rules) -> None:
        """Keep the rules of a step, unless they differ from those before in weights alone, which are tensors."""
        if self._rules is None or _penalties(rules) != _penalties(self._rules):
            self._rules = rules

    def _play(self, inputs: Inputs) -> Tensor:
        self._generator.begin(inputs.updates_of_g)
        self._discriminator.begin(inputs.updates_of_d)
        share, *weights = inputs.share_and_weights.unbind()
        if self._rules is None:
            raise TypeError("a step has rules")
        rules = replace(self._rules, penalties=tuple(zip(weights, _penalties(self._rules), strict=True)))
        rounds = [
            Round(
                step=0,
                rules=rules,
                generator=self._generator,
                discriminator=self._discriminator,
                reals=batch,
                draw_latents=dict(zip(STREAMS[self._variant], drawn, strict=False)).__getitem__,
                random=None,  # type: ignore[arg-type]  # nothing that draws is played so
            )
            for batch, drawn in zip(inputs.reals, inputs.latents, strict=True)
        ]
        d_turn, g_turn = iterate(self._variant, rounds)
        if self._average is not None:
            self._average.follow(share)
        return self._measure(d_turn, g_turn).detach()


def _penalties(rules: Rules) -> list[Penalty]:
    return [penalty for _, penalty in rules.penalties]

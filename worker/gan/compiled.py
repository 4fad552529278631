"""The whole step as one compiled function: scores, penalties, gradients, both updates, the average and the row.

What is compiled is the loop that also runs eagerly; only Adam is written a second time. Whatever changes from step to
step reaches the function as a tensor, so that it is compiled once.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch._inductor.config
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from worker.gan.batches import Batch
from worker.gan.ema import Average
from worker.gan.loops import iterate
from worker.gan.optimizers import betas_at
from worker.gan.player import Player, clip_gradients, clip_weights
from worker.gan.randomness import Stream
from worker.gan.rounds import Penalty, Round, Rules
from worker.gan.turns import Turn

STREAMS = {"original": (Stream.LATENTS, Stream.LATENTS_AGAIN), "reuse": (Stream.LATENTS,), "fused": (Stream.LATENTS,)}
"""Which latents a variant draws in its last round; all rounds before draw the first of them."""


class CompilerFailed(Exception):
    """The compiler could not do its work: none is there, it broke off, or what it had built cannot be loaded.

    The step was not taken to its end, and the training is of no use any more.
    """


def remember_compiled(directory: Path) -> None:
    """Keep what is compiled in a directory, so that the next training of the same shape begins in seconds."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(directory)
    torch._inductor.config.compile_threads = 1  # others would be processes that nobody watches over  # noqa: SLF001


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
        self._heights, self._made, self._moves = torch.empty(0, 5), 0, True

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
        self._moves = lr != 0  # at rate 0 not a bit changes, as in Player
        if not self._moves:
            return [(0.0,) * 5] * updates
        before = self._take_over() if self._updates is None else self._updates
        self._updates = before + updates
        torch._foreach_add_(self._steps, updates)
        counts = range(before + 1, self._updates + 1)
        return [(lr, first, second, 1 - first**count, 1 - second**count) for count in counts]

    def begin(self, heights: Tensor) -> None:
        """Hand over what plan answered, as a tensor (updates, 5)."""
        self._heights, self._made = heights, 0

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """Make the next of the planned updates: Kingma and Ba 2015, and Loshchilov and Hutter 2019 for AdamW."""
        lr, first, second, first_weight, second_weight = self._heights[self._made].unbind()
        self._made += 1
        if not self._moves:
            return
        clipped = clip_gradients(gradients, self._spec.clip_gradient)
        for parameter, gradient, mean, square in zip(self.parameters, clipped, self._first, self._second, strict=True):
            if self._decays_weights:
                parameter.mul_(1 - lr * self._spec.weight_decay)
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).add_((1 - second) * gradient * gradient)
            parameter.sub_((lr / first_weight) * mean / ((square / second_weight).sqrt() + self._spec.eps))
        clip_weights(self.parameters, self._spec.clip_weights)


class CompiledStep:
    """Takes the steps of one training on a CPU.

    The first of each kind is compiled, which takes from seconds to a minute: kinds differ in the penalties that weigh
    more than 0 and in the players that move.
    """

    def __init__(
        self,
        variant: str,
        generator: Player,
        discriminator: Player,
        *,
        average: Average | None,
        measure: Callable[[Turn, Turn], Tensor],
        compiler: str,
    ) -> None:
        self._variant, self._average, self._measure = variant, average, measure
        self._generator, self._discriminator = WrittenOutAdam(generator), WrittenOutAdam(discriminator)
        self._rules: Rules | None = None  # of the step before
        torch._dynamo.config.trace_autograd_ops = True  # noqa: SLF001 (else every gradient would end the graph)
        self._compiled = torch.compile(self._play, fullgraph=True, dynamic=False, backend=compiler)

    def forget(self) -> None:
        """Take over both players' moments anew, after a restore."""
        self._generator.forget()
        self._discriminator.forget()

    def take(self, rounds: Sequence[Round], *, share: float) -> Tensor:
        """Play all rounds of a step and let the average follow by a share; return the measured columns (M,).

        Raises CompilerFailed.
        """
        last = rounds[-1]
        self._know(last.rules)
        reals, dtype = [play.reals for play in rounds], last.reals.samples.dtype
        streams = STREAMS[self._variant]
        latents = [[play.draw_latents(stream) for stream in streams[: None if play is last else 1]] for play in rounds]
        weights = [weight for weight, _ in last.rules.penalties]
        heights_of_g = torch.tensor(self._generator.plan(last.step, 1), dtype=dtype)
        heights_of_d = torch.tensor(self._discriminator.plan(last.step, len(rounds)), dtype=dtype)
        try:
            row: Tensor = self._compiled(
                reals, latents, torch.tensor([share, *weights], dtype=dtype), heights_of_g, heights_of_d
            )
        except TorchDynamoException as error:
            raise CompilerFailed(f"{type(error).__name__}: {error}") from error
        return row

    def _know(self, rules: Rules) -> None:
        """Keep the rules of a step, unless they differ from those before in weights alone, which are tensors."""
        if self._rules is None or _penalties(rules) != _penalties(self._rules):
            self._rules = rules

    def _play(
        self,
        reals: list[Batch],
        latents: list[list[Tensor]],
        share_and_weights: Tensor,
        heights_of_g: Tensor,
        heights_of_d: Tensor,
    ) -> Tensor:
        self._generator.begin(heights_of_g)
        self._discriminator.begin(heights_of_d)
        share, *weights = share_and_weights.unbind()
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
                random=None,  # type: ignore[arg-type]  # nothing that draws is compiled
            )
            for batch, drawn in zip(reals, latents, strict=True)
        ]
        d_turn, g_turn = iterate(self._variant, rounds)
        if self._average is not None:
            self._average.follow(share)
        return self._measure(d_turn, g_turn).detach()


def _penalties(rules: Rules) -> list[Penalty]:
    return [penalty for _, penalty in rules.penalties]

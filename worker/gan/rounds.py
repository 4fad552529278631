"""What an update is played with: the rules, both players, the reals, the draws. What is done with it: turns."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from worker.gan.batches import Batch
from worker.gan.losses import at_least_float32
from worker.gan.objectives.objective import Objective
from worker.gan.randomness import Stream


class View(nn.Module):
    """How D is shown samples (N, *shape), reals and fakes alike. Buffers are part of the state of a training."""

    def forward(self, samples: Tensor, random: torch.Generator) -> Tensor:
        """Show the samples; differentiable, all draws from `random`."""
        raise NotImplementedError

    def adapt(self, real_logits: Tensor, count: int) -> None:
        """Learn from D's logits of what it was shown of `count` reals; called once in each discriminator turn."""


class Side(Protocol):
    """One of the two players, as a loop sees it."""

    network: nn.Module
    parameters: list[nn.Parameter]

    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """Move the weights along the gradients, after `step` completed steps."""


@dataclass(frozen=True)
class Rules:
    """What the players minimise in this step, the penalties with their weights; factors are those of the reduction.

    kept is the fraction of the fakes, those that D scores highest, that the generator learns from; networks are called
    within `arithmetic`.
    """

    objective: Objective
    real_label: float
    d_factor: float
    g_factor: float
    penalties: tuple[tuple[float | Tensor, "Penalty"], ...]
    views: tuple[View, ...]
    kept: float
    arithmetic: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def opposed(self) -> bool:
        """Whether G's gradient in the fakes is the negated one of all that D minimises."""
        reached = any(penalty.reaches_fakes for _, penalty in self.penalties)
        return self.objective.zero_sum and self.kept == 1 and not reached


@dataclass(frozen=True)
class Round:
    """What a discriminator update and the generator update that may follow it play with.

    Views and penalties draw from `random` in the order in which the loop calls them, a new one for each round.
    """

    step: int
    rules: Rules
    generator: Side
    discriminator: Side
    reals: Batch
    draw_latents: Callable[[Stream], Tensor]
    random: torch.Generator

    def make_fakes(self, stream: Stream) -> Tensor:
        """Generate a sample (N, *shape) for each real one, of the same label."""
        with self.rules.arithmetic():
            fakes: Tensor = self.generator.network(self.draw_latents(stream), self.reals.labels)
        return at_least_float32(fakes)

    def score(self, samples: Tensor) -> Tensor:
        """Show D the samples and return its logits, one for each sample or each pack.

        Reals and fakes never share a call: layers across samples would mix them.
        """
        for view in self.rules.views:
            samples = view(samples, self.random)
        return self.judge(samples)

    def judge(self, samples: Tensor) -> Tensor:
        """Return D's logits of exactly these samples."""
        with self.rules.arithmetic():
            logits: Tensor = self.discriminator.network(samples, self.reals.labels)
        return at_least_float32(logits)


@dataclass(frozen=True)
class Scores:
    """The samples as leaves of the graph, so that a gradient can be taken in them, and their logits.

    Where D scores packs, consecutive samples share a logit.
    """

    reals: Tensor
    fakes: Tensor
    real_logits: Tensor
    fake_logits: Tensor


class Penalty(nn.Module):
    """What D minimises beside its loss, before it is weighted. Buffers are part of the state of a training."""

    reaches_fakes = False
    """Whether the fakes' scores or the gradient in them depend on it."""

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure it, as a scalar that can be differentiated; called once in each discriminator turn."""
        raise NotImplementedError

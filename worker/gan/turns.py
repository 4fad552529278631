"""Each player's turn: score, measure, take the gradient. When turns are taken and gradients applied: loops."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.gan.batches import Batch
from worker.gan.losses import at_least_float32
from worker.gan.objectives.objective import Objective, Terms
from worker.gan.penalties import gradient_penalty
from worker.gan.player import Player
from worker.gan.randomness import Stream

Gradients = tuple[Tensor, ...]


@dataclass(frozen=True)
class Rules:
    """What the players minimise in this step: factors are those of the reduction, r1 and r2 the penalties' weights."""

    objective: Objective
    real_label: float
    d_factor: float
    g_factor: float
    r1: float
    r2: float


@dataclass(frozen=True)
class Round:
    """What a discriminator update and the generator update that may follow it play with."""

    step: int
    rules: Rules
    generator: Player
    discriminator: Player
    reals: Batch
    draw_latents: Callable[[Stream], Tensor]

    def make_fakes(self, stream: Stream) -> Tensor:
        """Generate a sample (N, *shape) for each real one, of the same label."""
        fakes: Tensor = self.generator.network(self.draw_latents(stream), self.reals.labels)
        return fakes

    def score(self, samples: Tensor) -> Tensor:
        """Return D's logits (N,). Reals and fakes are never scored in one call: a BatchNorm would mix them."""
        return at_least_float32(self.discriminator.network(samples, self.reals.labels))


@dataclass(frozen=True)
class Turn:
    """What one player measured, unscaled, and the gradient of what it minimises, in the order of its parameters."""

    terms: Terms
    gradients: Gradients


@dataclass(frozen=True)
class Scores:
    """The samples as leaves of the graph, so that a gradient can be taken in them, and their logits."""

    reals: Tensor
    fakes: Tensor
    real_logits: Tensor
    fake_logits: Tensor


def discriminator_turn(play: Round, fakes: Tensor) -> Turn:
    """Score reals and fakes and take D's gradient; nothing flows back into the fakes."""
    terms = discriminator_terms(play.rules, score_both(play, fakes))
    loss = discriminator_loss(play.rules, terms)
    return Turn(terms, torch.autograd.grad(loss, play.discriminator.parameters))


def generator_turn(play: Round, fakes: Tensor) -> Turn:
    """Score the fakes and take G's gradient through D. Asked only for G's weights, autograd computes none of D's."""
    objective = play.rules.objective
    real_logits = play.score(play.reals.samples) if objective.generator_needs_reals else None
    terms = objective.generator(play.score(fakes), real_logits)
    loss = play.rules.g_factor * terms["g_loss"]
    return Turn(terms, torch.autograd.grad(loss, play.generator.parameters))


def both_turns(play: Round, fakes: Tensor) -> tuple[Turn, Turn]:
    """Take both gradients from the same scores, before either player moves."""
    scores = score_both(play, fakes)
    d_terms = discriminator_terms(play.rules, scores)
    g_terms = play.rules.objective.generator(scores.fake_logits, scores.real_logits)
    d_loss = discriminator_loss(play.rules, d_terms)
    # With R2, D's gradient in the fakes is no longer that of the game alone.
    if play.rules.objective.zero_sum and play.rules.r2 == 0:
        d_gradients, at_fakes = opposed_gradients(play, scores, d_loss)
    else:
        d_gradients, at_fakes = separate_gradients(play, scores, d_loss, g_terms["g_loss"])
    g_gradients = torch.autograd.grad(fakes, play.generator.parameters, grad_outputs=at_fakes)
    return Turn(d_terms, d_gradients), Turn(g_terms, g_gradients)


def opposed_gradients(play: Round, scores: Scores, d_loss: Tensor) -> tuple[Gradients, Tensor]:
    """Take D's gradient, and G's in the fakes as its negative: one backward pass through D for both."""
    *d_gradients, at_fakes = torch.autograd.grad(d_loss, [*play.discriminator.parameters, scores.fakes])
    return tuple(d_gradients), at_fakes * (-play.rules.g_factor / play.rules.d_factor)


def separate_gradients(play: Round, scores: Scores, d_loss: Tensor, g_loss: Tensor) -> tuple[Gradients, Tensor]:
    """Take each player's gradient by a backward pass of its own: G's in the fakes, D's in its weights."""
    (at_fakes,) = torch.autograd.grad(play.rules.g_factor * g_loss, scores.fakes, retain_graph=True)
    return torch.autograd.grad(d_loss, play.discriminator.parameters), at_fakes


def score_both(play: Round, fakes: Tensor) -> Scores:
    """Let D score the reals, then the fakes, cut off from the generator."""
    reals = play.reals.samples.detach().requires_grad_()
    fakes = fakes.detach().requires_grad_()
    return Scores(reals, fakes, play.score(reals), play.score(fakes))


def discriminator_terms(rules: Rules, scores: Scores) -> Terms:
    """Measure D's terms and, on the same scores, its penalties."""
    terms = rules.objective.discriminator(scores.real_logits, scores.fake_logits, rules.real_label)
    penalty = scores.fake_logits.new_zeros(())
    if rules.r1 > 0:
        penalty = penalty + gradient_penalty(scores.reals, scores.real_logits, rules.r1)
    if rules.r2 > 0:
        penalty = penalty + gradient_penalty(scores.fakes, scores.fake_logits, rules.r2)
    return {**terms, "d_penalty": penalty}


def discriminator_loss(rules: Rules, terms: Terms) -> Tensor:
    """Return what D minimises. The reduction scales the objective alone: a penalty's weight is its own."""
    return rules.d_factor * terms["d_loss"] + terms["d_penalty"]

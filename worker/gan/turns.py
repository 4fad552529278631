"""Each player's turn: score, measure, take the gradient. When turns are taken and gradients applied: loops."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from worker.gan.objectives.objective import Terms
from worker.gan.rounds import Round, Rules, Scores

Gradients = tuple[Tensor, ...]


@dataclass(frozen=True)
class Turn:
    """What one player measured, unscaled, and the gradient of what it minimises, in the order of its parameters."""

    terms: Terms
    gradients: Gradients


def discriminator_turn(play: Round, fakes: Tensor) -> Turn:
    """Score reals and fakes and take D's gradient; nothing flows back into the fakes."""
    terms = discriminator_terms(play, score_both(play, fakes))
    loss = discriminator_loss(play.rules, terms)
    return Turn(terms, gradients_of_d(play, loss))


def generator_turn(play: Round, fakes: Tensor) -> Turn:
    """Score the fakes and take G's gradient through D. Asked only for G's weights, autograd computes none of D's."""
    real_logits = play.score(play.reals.samples) if play.rules.objective.generator_needs_reals else None
    terms = generator_terms(play.rules, play.score(fakes), real_logits)
    loss = play.rules.g_factor * terms["g_loss"]
    return Turn(terms, torch.autograd.grad(loss, play.generator.parameters))


def both_turns(play: Round, fakes: Tensor) -> tuple[Turn, Turn]:
    """Take both gradients from the same scores, before either player moves."""
    scores = score_both(play, fakes)
    d_terms = discriminator_terms(play, scores)
    g_terms = generator_terms(play.rules, scores.fake_logits, scores.real_logits)
    d_loss = discriminator_loss(play.rules, d_terms)
    if play.rules.opposed:
        d_gradients, at_fakes = opposed_gradients(play, scores, d_loss)
    else:
        d_gradients, at_fakes = separate_gradients(play, scores, d_loss, g_terms["g_loss"])
    g_gradients = torch.autograd.grad(fakes, play.generator.parameters, grad_outputs=at_fakes)
    return Turn(d_terms, d_gradients), Turn(g_terms, g_gradients)


def opposed_gradients(play: Round, scores: Scores, d_loss: Tensor) -> tuple[Gradients, Tensor]:
    """Take D's gradient, and G's in the fakes as its negative: one backward pass through D for both."""
    *d_gradients, at_fakes = gradients_of_d(play, d_loss, scores.fakes)
    return tuple(d_gradients), at_fakes * (-play.rules.g_factor / play.rules.d_factor)


def separate_gradients(play: Round, scores: Scores, d_loss: Tensor, g_loss: Tensor) -> tuple[Gradients, Tensor]:
    """Take each player's gradient by a backward pass of its own: G's in the fakes, D's in its weights."""
    (at_fakes,) = torch.autograd.grad(play.rules.g_factor * g_loss, scores.fakes, retain_graph=True)
    return gradients_of_d(play, d_loss), at_fakes


def gradients_of_d(play: Round, d_loss: Tensor, *also: Tensor) -> Gradients:
    """Take the gradient of D's loss in its weights and more; 0 for a decoder's while no reconstruction is asked for."""
    return torch.autograd.grad(d_loss, [*play.discriminator.parameters, *also], materialize_grads=True)


def score_both(play: Round, fakes: Tensor) -> Scores:
    """Let D score the reals, then the fakes, cut off from the generator."""
    reals = play.reals.samples.detach().requires_grad_()
    fakes = fakes.detach().requires_grad_()
    return Scores(reals, fakes, play.score(reals), play.score(fakes))


def discriminator_terms(play: Round, scores: Scores) -> Terms:
    """Measure D's terms and, on the same scores, its penalties; let the views adapt to them."""
    rules = play.rules
    for view in rules.views:
        view.adapt(scores.real_logits, len(scores.reals))
    terms = rules.objective.discriminator(scores.real_logits, scores.fake_logits, rules.real_label)
    penalty = scores.fake_logits.new_zeros(())
    for weight, measure in rules.penalties:
        penalty = penalty + weight * measure(play, scores)
    return {**terms, "d_penalty": penalty}


def generator_terms(rules: Rules, fake_logits: Tensor, real_logits: Tensor | None) -> Terms:
    """Measure G's terms on the fakes that it learns from: top-k training, Sinha et al. 2020 (arXiv 2002.06224)."""
    if rules.kept < 1:
        count = ceil(rules.kept * len(fake_logits) - 1e-9)  # 0.07 of 100 are 7, which floats make a little more
        best = fake_logits.topk(max(1, count)).indices  # a schedule may end at 0
        fake_logits = fake_logits[best]
        real_logits = None if real_logits is None else real_logits[best]
    return rules.objective.generator(fake_logits, real_logits)


def discriminator_loss(rules: Rules, terms: Terms) -> Tensor:
    """Return what D minimises. The reduction scales the objective alone: a penalty's weight is its own."""
    return rules.d_factor * terms["d_loss"] + terms["d_penalty"]

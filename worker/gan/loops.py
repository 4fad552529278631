"""The three loops: who scores which fakes with which discriminator, and when the updates are made."""

from collections.abc import Callable, Sequence

import torch

from worker.gan.randomness import Stream
from worker.gan.rounds import Round
from worker.gan.turns import Turn, both_turns, discriminator_turn, generator_turn


def update_discriminator(play: Round) -> Turn:
    """Steps 1 to 4 of Goodfellow et al. 2014, Algorithm 1: fakes, reals, scores, the discriminator's update."""
    with torch.no_grad():
        fakes = play.make_fakes(Stream.LATENTS)
    d_turn = discriminator_turn(play, fakes)
    play.discriminator.update(d_turn.gradients, play.step)
    return d_turn


def original(play: Round) -> tuple[Turn, Turn]:
    """All six steps: the generator answers the updated discriminator with new fakes."""
    d_turn = update_discriminator(play)
    g_turn = generator_turn(play, play.make_fakes(Stream.LATENTS_AGAIN))
    play.generator.update(g_turn.gradients, play.step)
    return d_turn, g_turn


def reuse(play: Round) -> tuple[Turn, Turn]:
    """Without step 5: the updated discriminator scores the same fakes again."""
    fakes = play.make_fakes(Stream.LATENTS)
    d_turn = discriminator_turn(play, fakes)
    play.discriminator.update(d_turn.gradients, play.step)
    g_turn = generator_turn(play, fakes)
    play.generator.update(g_turn.gradients, play.step)
    return d_turn, g_turn


def fused(play: Round) -> tuple[Turn, Turn]:
    """Without steps 5 and 6: both gradients come from the scores of step 3, then both players move."""
    d_turn, g_turn = both_turns(play, play.make_fakes(Stream.LATENTS))
    play.discriminator.update(d_turn.gradients, play.step)
    play.generator.update(g_turn.gradients, play.step)
    return d_turn, g_turn


LOOPS: dict[str, Callable[[Round], tuple[Turn, Turn]]] = {"original": original, "reuse": reuse, "fused": fused}


def iterate(variant: str, rounds: Sequence[Round]) -> tuple[Turn, Turn]:
    """Play all rounds of a step: D moves in each, and the variant makes the last, whose turns are returned."""
    *earlier, last = rounds
    for play in earlier:
        update_discriminator(play)
    return LOOPS[variant](last)

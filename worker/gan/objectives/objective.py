"""The shape of an objective: which numbers it makes of the logits, and what the loops may assume of it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Terms = dict[str, Tensor]
"""Columns by name, each a scalar tensor."""


@dataclass(frozen=True)
class Objective:
    """Both players' losses as functions of logits (N,), as unscaled means over the batch.

    discriminator(real_logits, fake_logits, real_label) must answer d_loss and generator(fake_logits, real_logits) must
    answer g_loss, each beside whatever else it defines; joint(discriminator_terms, generator_terms) adds the columns
    that need both. The real logits are None unless generator_needs_reals.

    zero_sum says that the generated part of d_loss is -g_loss. Then the generator's gradient is the negated one of
    the discriminator, also where a layer of D mixes samples, and `fused` needs no second backward pass through D.
    """

    discriminator: Callable[[Tensor, Tensor, float], Terms]
    generator: Callable[[Tensor, Tensor | None], Terms]
    joint: Callable[[Terms, Terms], Terms]
    generator_needs_reals: bool
    zero_sum: bool


def only_own_losses(_discriminator: Terms, _generator: Terms) -> Terms:
    """Add nothing: the joint half of an objective whose losses have no sum that means anything."""
    return {}

"""The objectives of Goodfellow et al. 2014: one discriminator loss, the game's generator loss and the practical one."""

from torch import Tensor

from worker.gan.losses import mean_probability, minus_log, minus_log_complement
from worker.gan.objectives.objective import Objective, Terms


def discriminator_terms(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> Terms:
    """Measure V(G,D) and the discriminator's cross-entropy. Smoothing (real_label below 1) touches the latter alone."""
    minus_log_real, minus_log_fake = minus_log(real_logits), minus_log_complement(fake_logits)
    # The label y costs y sp(-s) + (1 - y) sp(s), which is sp(-s) + (1 - y) s because sp(s) - sp(-s) = s.
    d_loss_real = minus_log_real + (1.0 - real_label) * real_logits.mean()
    return {
        "value": -minus_log_real - minus_log_fake,
        "d_loss_real": d_loss_real,
        "d_loss_fake": minus_log_fake,
        "d_loss": d_loss_real + minus_log_fake,
        "d_real": mean_probability(real_logits),
        "d_fake": mean_probability(fake_logits),
    }


def saturating_terms(fake_logits: Tensor, _real_logits: Tensor | None) -> Terms:
    """Minimise E log(1 - D(G(z))), the generator's part of V."""
    both = generator_losses(fake_logits)
    return {**both, "g_loss": both["g_loss_saturating"]}


def non_saturating_terms(fake_logits: Tensor, _real_logits: Tensor | None) -> Terms:
    """Minimise -E log D(G(z)): the same fixed point, and a gradient where D rejects with confidence."""
    both = generator_losses(fake_logits)
    return {**both, "g_loss": both["g_loss_non_saturating"]}


def generator_losses(fake_logits: Tensor) -> Terms:
    """Measure both generator losses, whichever is minimised."""
    return {
        "g_loss_saturating": -minus_log_complement(fake_logits),
        "g_loss_non_saturating": minus_log(fake_logits),
    }


def total_loss(discriminator: Terms, generator: Terms) -> Terms:
    """Add -V and the non-saturating loss: both minimised, both in [0, inf). A monitor: no gradient is ever taken of it.

    With the saturating loss the generator would cancel out of the sum.
    """
    return {"total_loss": generator["g_loss_non_saturating"] - discriminator["value"]}


SATURATING = Objective(discriminator_terms, saturating_terms, total_loss, generator_needs_reals=False, zero_sum=True)
NON_SATURATING = Objective(
    discriminator_terms, non_saturating_terms, total_loss, generator_needs_reals=False, zero_sum=False
)

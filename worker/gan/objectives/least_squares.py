"""The least-squares objective of Mao et al. 2017 (arXiv 1611.04076), with the labels 1 for reals and 0 for fakes."""

from torch import Tensor

from worker.gan.objectives.objective import Objective, Terms, only_own_losses


def discriminator_terms(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> Terms:
    """Minimise E (s_r - y)^2 / 2 + E s_f^2 / 2 for the label y of reals (equation 9, where y is 1)."""
    return {"d_loss": ((real_logits - real_label).square().mean() + fake_logits.square().mean()) / 2}


def generator_terms(fake_logits: Tensor, _real_logits: Tensor | None) -> Terms:
    """Minimise E (s_f - 1)^2 / 2 (equation 9); a smoothed label is the discriminator's alone."""
    return {"g_loss": (fake_logits - 1).square().mean() / 2}


LEAST_SQUARES = Objective(
    discriminator_terms, generator_terms, only_own_losses, generator_needs_reals=False, zero_sum=False
)

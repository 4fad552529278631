"""The relativistic objectives of Jolicoeur-Martineau 2019 (arXiv 1807.00734): scores are compared.

Only differences of logits count, so a constant added to D changes nothing.
"""

from torch import Tensor

from worker.gan.losses import minus_log, minus_log_complement
from worker.gan.objectives.objective import Objective, Terms, only_own_losses


def pairing_discriminator(real_logits: Tensor, fake_logits: Tensor, _real_label: float) -> Terms:
    """Minimise E softplus(-(s_r - s_f)) over pairs in the order of the batch (section 4.1)."""
    return {"d_loss": minus_log(real_logits - fake_logits)}


def pairing_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Terms:
    """Minimise E softplus(-(s_f - s_r)) over the same pairs (section 4.1)."""
    return {"g_loss": minus_log(fake_logits - given(real_logits))}


def average_discriminator(real_logits: Tensor, fake_logits: Tensor, _real_label: float) -> Terms:
    """Minimise -E log D~(x) - E log(1 - D~(G(z))) (section 4.3); D~ reads a logit less the other kind's mean."""
    return {"d_loss": against_average(real_logits, fake_logits)}


def average_generator(fake_logits: Tensor, real_logits: Tensor | None) -> Terms:
    """Minimise the same with the kinds changed over (section 4.3)."""
    return {"g_loss": against_average(fake_logits, given(real_logits))}


def against_average(ahead: Tensor, behind: Tensor) -> Tensor:
    """Return the cross-entropy of `ahead` under the label 1 and of `behind` under 0, each less the other's mean."""
    return minus_log(ahead - behind.mean()) + minus_log_complement(behind - ahead.mean())


def given(real_logits: Tensor | None) -> Tensor:
    """Return the logits that generator_needs_reals asks for; raises ValueError where a caller left them out."""
    if real_logits is None:
        raise ValueError("a relativistic generator loss needs the logits of reals")
    return real_logits


RELATIVISTIC_PAIRING = Objective(
    pairing_discriminator, pairing_generator, only_own_losses, generator_needs_reals=True, zero_sum=False
)
RELATIVISTIC_AVERAGE = Objective(
    average_discriminator, average_generator, only_own_losses, generator_needs_reals=True, zero_sum=False
)

"""The Wasserstein objective of Arjovsky et al. 2017 (arXiv 1701.07875).

It is an estimate of a distance only while D is Lipschitz: that is for a gradient penalty, clipped weights or spectral
norm to see to.
"""

from torch import Tensor

from worker.gan.objectives.objective import Objective, Terms, only_own_losses


def discriminator_terms(real_logits: Tensor, fake_logits: Tensor, _real_label: float) -> Terms:
    """Minimise E s_f - E s_r (equation 3, its sign turned)."""
    return {"d_loss": fake_logits.mean() - real_logits.mean()}


def generator_terms(fake_logits: Tensor, _real_logits: Tensor | None) -> Terms:
    """Minimise -E s_f (Algorithm 1)."""
    return {"g_loss": -fake_logits.mean()}


WASSERSTEIN = Objective(
    discriminator_terms, generator_terms, only_own_losses, generator_needs_reals=False, zero_sum=True
)

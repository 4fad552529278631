"""The hinge objective of Lim and Ye 2017 (arXiv 1705.02894), as Miyato et al. 2018 (arXiv 1802.05957) write it.

D is content with scores beyond 1 and -1.
"""

from torch import Tensor

from worker.gan.objectives.objective import Objective, Terms, only_own_losses


def discriminator_terms(real_logits: Tensor, fake_logits: Tensor, _real_label: float) -> Terms:
    """Minimise E max(0, 1 - s_r) + E max(0, 1 + s_f) (equation 16 of Miyato et al.)."""
    return {"d_loss": (1 - real_logits).relu().mean() + (1 + fake_logits).relu().mean()}


def generator_terms(fake_logits: Tensor, _real_logits: Tensor | None) -> Terms:
    """Minimise -E s_f (equation 17): the margin is the discriminator's alone."""
    return {"g_loss": -fake_logits.mean()}


HINGE = Objective(discriminator_terms, generator_terms, only_own_losses, generator_needs_reals=False, zero_sum=False)

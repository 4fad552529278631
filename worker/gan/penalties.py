"""Gradient penalties on the discriminator: R1 on reals, R2 on fakes (Mescheder et al. 2018, equations 9 and 10)."""

import torch
from torch import Tensor


def gradient_penalty(samples: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """Return gamma/2 E |grad_x D(x)|^2 from logits (N,) that were scored on these samples (N, ...).

    The graph of the scores is used again, so D is not called. The answer can be differentiated once more.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gamma / 2 * gradient.flatten(start_dim=1).square().sum(dim=1).mean()

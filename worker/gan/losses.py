"""The two expectations that the log-loss family is made of, from logits. Which player minimises what: objectives.

D(x) = sigmoid(s) for the logit s. No probability is ever put into a logarithm: log D and log(1 - D) come straight from
the logit, so they are finite and keep their gradient however sure D is.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def at_least_float32(numbers: Tensor) -> Tensor:
    """Widen logits or samples of half precision: bfloat16 has two digits, a loss near its equilibrium needs six."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def softplus(logits: Tensor) -> Tensor:
    """Return log(1 + e^t), elementwise. torch's own softplus turns linear above 20 and is off by 2e-9 there."""
    return -logsigmoid(-logits)


def minus_log(logits: Tensor) -> Tensor:
    """Return -E log D, the mean cross-entropy under the label 1; in [0, inf)."""
    return softplus(-logits).mean()


def minus_log_complement(logits: Tensor) -> Tensor:
    """Return -E log(1 - D), the mean cross-entropy under the label 0; in [0, inf)."""
    return softplus(logits).mean()


def mean_probability(logits: Tensor) -> Tensor:
    """Return E D: the mean of the probabilities, not the probability of the mean logit."""
    return logits.sigmoid().mean()

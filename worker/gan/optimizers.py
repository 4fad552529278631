"""Optimisers by name. What a catalogue says of them stands in service.spec.optimizers."""

from collections.abc import Callable

from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer

from service.spec.job import OptimizerSpec


def adam(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make Adam in its fused form, which updates all weights in one call."""
    return Adam(parameters, lr=spec.lr, betas=spec.betas, eps=spec.eps, fused=True)


def sgd(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make plain gradient descent."""
    return SGD(parameters, lr=spec.lr)


OPTIMIZERS: dict[str, Callable[[list[Parameter], OptimizerSpec], Optimizer]] = {"adam": adam, "sgd": sgd}

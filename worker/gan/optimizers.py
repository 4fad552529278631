"""Optimisers by name. What a catalogue says of them stands in service.spec.optimizers."""

from collections.abc import Callable

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from service.spec.parts.optimizer import OptimizerSpec
from worker.gan.schedules import decay_at


def betas_at(spec: OptimizerSpec, step: int) -> tuple[float, float]:
    """Return the decay rates of the moments after `step` completed steps."""
    first, second = spec.betas
    return decay_at(first, step), decay_at(second, step)


def adam(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make Adam in its fused form, which updates all weights in one call."""
    return Adam(parameters, lr=spec.lr, betas=betas_at(spec, 0), eps=spec.eps, fused=True)


def adamw(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make Adam whose weights also decay by themselves, apart from the moments."""
    return AdamW(
        parameters, lr=spec.lr, betas=betas_at(spec, 0), eps=spec.eps, weight_decay=spec.weight_decay, fused=True
    )


def rmsprop(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make RMSprop, whose only moment decays as Adam's second."""
    return RMSprop(parameters, lr=spec.lr, alpha=betas_at(spec, 0)[1], eps=spec.eps)


def sgd(parameters: list[Parameter], spec: OptimizerSpec) -> Optimizer:
    """Make plain gradient descent."""
    return SGD(parameters, lr=spec.lr)


OPTIMIZERS: dict[str, Callable[[list[Parameter], OptimizerSpec], Optimizer]] = {
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "sgd": sgd,
}

"""One of the two networks with its optimiser."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from service.spec.parts.optimizer import OptimizerSpec
from worker.gan.optimizers import OPTIMIZERS, betas_at
from worker.gan.schedules import fraction_at


class Player:
    """A network that is trained by gradients which it is handed; what they are gradients of, it does not know."""

    def __init__(self, network: nn.Module, spec: OptimizerSpec) -> None:
        self.network = network
        self.parameters = list(network.parameters())
        self.optimizer = OPTIMIZERS[spec.name](self.parameters, spec)
        self.rate_factor = 1.0  # halved by each rollback
        self.spec = spec

    def lr_at(self, step: int) -> float:
        """Return the learning rate after `step` completed steps."""
        return self.spec.lr * self.rate_factor * fraction_at(self.spec.schedule, step)

    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """Move the weights along the gradients at the rates of this step; at rate 0 not a bit of them changes."""
        lr = self.lr_at(step)
        if lr != 0:
            betas = betas_at(self.spec, step)
            self.move(gradients, lr=lr, betas=betas, alpha=betas[1])

    def move(self, gradients: Sequence[Tensor], **settings: object) -> None:
        """Move the weights along the gradients with these settings of the optimiser, those of them that it has."""
        for group in self.optimizer.param_groups:
            group.update({name: value for name, value in settings.items() if name in group})
        clipped = clip_gradients(gradients, self.spec.clip_gradient)
        for parameter, gradient in zip(self.parameters, clipped, strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        self.optimizer.step()
        clip_weights(self.parameters, self.spec.clip_weights)


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return the numbers in the order in memory of a parameter of the same shape; fused optimisers go by memory."""
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def clip_gradients(gradients: Sequence[Tensor], limit: float | None) -> Sequence[Tensor]:
    """Shorten a gradient beyond the limit to it, all tensors by one factor, without asking the device."""
    if limit is None:
        return gradients
    share = (limit / nn.utils.get_total_norm(gradients)).clamp(max=1)
    return [share * gradient for gradient in gradients]


@torch.no_grad()
def clip_weights(parameters: Sequence[Tensor], limit: float | None) -> None:
    """Bring every weight to within the limit, in place."""
    if limit is not None:
        for parameter in parameters:
            parameter.clamp_(-limit, limit)

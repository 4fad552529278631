"""Samples as mixtures of the principal components of the data: of sounds a few often say all."""

import torch
from torch import Tensor, nn

SPECIMENS = 500  # samples that components are learnt from; of four times as many it would take seconds
SPECIMENS_OF_CLASSES = 2_000  # samples that the axes of classes are learnt from
LEAST_POWER = 1e-6  # of a component, as a fraction of the strongest; what is weaker is rounding
LOST_POWER = 1e-3  # of a class that its own components may leave out: 30 dB below it
ROWS_FOR_EACH = 10  # component of a class; mixtures of fewer rows might be anything


class Components(nn.Module):
    """Samples (N, values) as mixtures (N, K), in units in which strong components have variance 1."""

    axes: Tensor
    unit: Tensor

    def __init__(self, count: int, values: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(count, values))
        self.register_buffer("unit", torch.ones(()))

    def learn(self, samples: Tensor) -> None:
        """Learn from samples (N, values): axes of the second moment, the strongest first; those it lacks stay 0."""
        rows = samples.double()
        power, weights = torch.linalg.eigh(rows @ rows.T / len(rows))
        power, weights = power.flip(0)[: len(self.axes)], weights.flip(1)[:, : len(self.axes)]
        kept = int((power > LEAST_POWER * power[0]).sum())
        if kept:
            self.axes[:kept] = ((weights[:, :kept] / (len(rows) * power[:kept]).sqrt()).T @ rows).to(self.axes)
            self.unit.copy_((power[:kept].square().sum() / power[:kept].sum()).sqrt())

    def mix(self, mixtures: Tensor) -> Tensor:
        """Mix (N, K) to (N, values)."""
        return self.unit * mixtures @ self.axes

    def forward(self, samples: Tensor) -> Tensor:
        """Take samples (N, values) apart, (N, K)."""
        return samples @ self.axes.T / self.unit


class ClassAxes(nn.Module):
    """Turns (N, K) of each class to its own few axes where it has such, so that nothing else comes out.

    A class whose samples are mixtures of few has them, as a pure tone has a sine and a cosine. Others keep all axes.
    """

    turns: Tensor

    def __init__(self, classes: int, count: int) -> None:
        super().__init__()
        self.register_buffer("turns", torch.eye(count).repeat(classes, 1, 1))

    def learn(self, mixtures: Tensor, labels: Tensor) -> None:
        """Learn from mixtures (N, K) of the classes (N,)."""
        for label, turn in enumerate(self.turns):
            rows = mixtures[labels == label].double()
            power, axes = torch.linalg.eigh(rows.T @ rows / max(1, len(rows)))
            power, axes = power.flip(0).clamp_min(0), axes.flip(1)
            kept = 1 + int((power.sum() - power.cumsum(0) > LOST_POWER * power.sum()).sum())
            if kept * ROWS_FOR_EACH <= len(rows):
                turn.zero_()
                turn[:kept] = ((axes[:, :kept] * power[:kept].sqrt()).T).to(turn)

    def forward(self, mixtures: Tensor, labels: Tensor) -> Tensor:
        """Turn mixtures (N, K)."""
        return torch.bmm(mixtures[:, None], self.turns[labels])[:, 0]

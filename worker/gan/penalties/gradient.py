"""Penalties on the slope of the discriminator: zero-centred where it scored, one-centred in between and around."""

import torch
from torch import Tensor

from worker.gan.rounds import Penalty, Round, Scores

DRAGAN_SPREAD = 0.5  # of the noise around reals, in deviations of the batch


class RealSlope(Penalty):
    """R1, equation 9 of Mescheder et al. 2018: no slope on reals."""

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure E |grad_x D(x)|^2 / 2 on the graph of the scores: D is not called again."""
        return half_squared_slope(scores.reals, scores.real_logits)


class FakeSlope(Penalty):
    """R2, equation 10 of Mescheder et al. 2018: no slope on fakes."""

    reaches_fakes = True

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure the same on fakes."""
        return half_squared_slope(scores.fakes, scores.fake_logits)


class SlopeBetween(Penalty):
    """The penalty of WGAN-GP, equation 3 of Gulrajani et al. 2017: slope 1 on straight lines from reals to fakes."""

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure E (|grad D| - 1)^2 at a point drawn uniformly between each real and its fake, packs being points."""
        reals, fakes, points = scores.reals.detach(), scores.fakes.detach(), len(scores.real_logits)
        drawn = torch.rand(points, generator=play.random).repeat_interleave(len(reals) // points)
        shares = drawn.to(reals).reshape(-1, *[1] * (reals.dim() - 1))
        return squared_slope_from_one(play, fakes + shares * (reals - fakes))


class SlopeAround(Penalty):
    """The penalty of DRAGAN, Kodali et al. 2017 (arXiv 1705.07215): slope 1 near reals."""

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure E (|grad D| - 1)^2 at reals moved by normal noise in proportion to the spread of the batch."""
        reals = scores.reals.detach()
        noise = torch.randn(reals.shape, generator=play.random).to(reals)
        return squared_slope_from_one(play, reals + DRAGAN_SPREAD * reals.std() * noise)


def half_squared_slope(samples: Tensor, logits: Tensor) -> Tensor:
    """Return E |grad_x D(x)|^2 / 2 from logits that were scored on these samples (N, ...)."""
    return slopes(samples, logits).square().sum(dim=1).mean() / 2


def squared_slope_from_one(play: Round, points: Tensor) -> Tensor:
    """Let D score points (N, ...) as they are and return E (|grad D| - 1)^2."""
    points = points.requires_grad_()
    # vector_norm has the gradient 0 at 0, where that of a square root would be infinite.
    norms: Tensor = torch.linalg.vector_norm(slopes(points, play.judge(points)), dim=1)
    return (norms - 1).square().mean()


def slopes(samples: Tensor, logits: Tensor) -> Tensor:
    """Return the gradient of each logit in what it was scored on, one row each; it can be differentiated once more."""
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return gradient.reshape(len(logits), -1)

"""The regulariser of Tseng et al. 2021 (arXiv 2104.03310) for little data: D may not stray from its own past."""

import torch
from torch import Tensor

from worker.gan.rounds import Penalty, Round, Scores

DECAY = 0.99  # the paper's


class LeCam(Penalty):
    """Draw the scores of each kind to the moving average of the other kind's."""

    reaches_fakes = True
    real_average: Tensor
    fake_average: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("real_average", torch.zeros(()))
        self.register_buffer("fake_average", torch.zeros(()))

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Measure E (s_r - mean s_f)^2 + E (s_f - mean s_r)^2 with the averages so far, then move them."""
        # Copies, for the averages move in place while the graph is still needed.
        of_reals = (scores.real_logits - self.fake_average.clone()).square().mean()
        of_fakes = (scores.fake_logits - self.real_average.clone()).square().mean()
        self.real_average.lerp_(scores.real_logits.detach().mean().to(self.real_average), 1 - DECAY)
        self.fake_average.lerp_(scores.fake_logits.detach().mean().to(self.fake_average), 1 - DECAY)
        return of_reals + of_fakes

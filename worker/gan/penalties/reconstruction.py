"""The self-supervision of Liu et al. 2021 (arXiv 2101.04775), section 3.2: D must keep what it takes to draw a real."""

from torch import Tensor

from worker.gan.networks.players import Discriminator
from worker.gan.rounds import Penalty, Round, Scores


class Reconstruction(Penalty):
    """What the discriminator itself says it gets wrong when it draws the reals again."""

    def forward(self, play: Round, scores: Scores) -> Tensor:
        """Ask D, which reads the reals once more, as they are and not as the views show them."""
        discriminator = play.discriminator.network
        if not isinstance(discriminator, Discriminator):
            raise TypeError("a network that is no discriminator draws nothing")
        return discriminator.reconstruction_loss(scores.reals.detach(), play.random)

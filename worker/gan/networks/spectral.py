"""Spectral normalisation as a parametrisation of a layer's weight (Miyato et al. 2018, arXiv 1802.05957)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

NORMALISED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding)


class SpectralNorm(nn.Module):
    """Divide a weight by its largest singular value, followed by one power iteration for each use; equation (8).

    The left singular vector is a buffer, so that a resumed training follows on from where it was. In evaluation mode it
    stays.
    """

    left: Tensor

    def __init__(self, weight: Tensor, random: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("left", normalize(torch.randn(weight.shape[0], generator=random), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight at norm 1."""
        matrix = weight.flatten(1)
        with torch.no_grad():
            right = normalize(matrix.T @ self.left, dim=0)
            left = normalize(matrix @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return weight / (left @ (matrix @ right))


def normalise_spectra(network: nn.Module, random: torch.Generator) -> None:
    """Normalise every convolution, linear layer and embedding of a network that is not yet, as a resnet's are."""
    for layer in list(network.modules()):
        if isinstance(layer, NORMALISED) and not parametrize.is_parametrized(layer, "weight"):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight, random))

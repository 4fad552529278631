"""The loop that nobody beats, as a person writes it, after pytorch/examples' dcgan/main.py, on made-up data.

It knows torch alone, so that `python benchmarks/speed/baseline.py ring` is such a person's script.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TextIO

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LEAK = 0.2
MADE_UP_SAMPLES = 20_000


@dataclass(frozen=True)
class Networks:
    """Both players and what they are trained with: samples have a shape, and come in batches."""

    generator: nn.Module
    discriminator: nn.Module
    latent_dim: int
    shape: tuple[int, ...]
    batch_size: int


def ring(batch_size: int = 256) -> Networks:
    """Points in the plane."""
    generator, discriminator = mlp(16, 128, 128, 128, 2), mlp(2, 128, 128, 128, 1)
    return Networks(generator, nn.Sequential(*discriminator, nn.Sigmoid()), 16, (2,), batch_size)


def digits() -> Networks:
    """Pictures of 8 by 8, pixel by pixel."""
    generator = nn.Sequential(*mlp(64, 256, 256, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    discriminator = nn.Sequential(nn.Flatten(), *mlp(64, 256, 256, 1), nn.Sigmoid())
    return Networks(generator, discriminator, 64, (1, 8, 8), 128)


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with an activation between each two."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers[:-1])


def dcgan(channels: int, side: int, batch_size: int, *, base: int = 64, latent_dim: int = 100) -> Networks:
    """Pictures through convolutions, halved down to 4 by 4."""
    widths = [channels, *(base * 2**level for level in range(side.bit_length() - 3))]
    generator: list[nn.Module] = [nn.Linear(latent_dim, widths[-1] * 16), nn.Unflatten(1, (widths[-1], 4, 4))]
    discriminator: list[nn.Module] = []
    for level in range(len(widths) - 1, 0, -1):
        generator += [nn.BatchNorm2d(widths[level]), nn.LeakyReLU(LEAK)]
        generator += [nn.ConvTranspose2d(widths[level], widths[level - 1], 4, 2, 1, bias=level == 1)]
    for level in range(1, len(widths)):
        discriminator += [nn.Conv2d(widths[level - 1], widths[level], 4, 2, 1, bias=level == 1)]
        discriminator += [nn.BatchNorm2d(widths[level])] if level > 1 else []
        discriminator += [nn.LeakyReLU(LEAK)]
    discriminator += [nn.Flatten(), nn.Linear(widths[-1] * 16, 1), nn.Sigmoid()]
    networks = nn.Sequential(*generator, nn.Tanh()), nn.Sequential(*discriminator)
    return Networks(*networks, latent_dim, (channels, side, side), batch_size)


NETWORKS: dict[str, Callable[[], Networks]] = {
    "ring": ring,
    "ring64": lambda: ring(64),
    "digits": digits,
    "dcgan32": lambda: dcgan(1, 32, 128),
    "dcgan64": lambda: dcgan(3, 64, 64),
}


class Baseline:
    """Trains networks on samples (N, *shape) of the host, a step at a time, and prints a line for each."""

    def __init__(self, networks: Networks, samples: Tensor, *, out: TextIO, device: str = "cpu") -> None:
        self._generator, self._discriminator = networks.generator.to(device), networks.discriminator.to(device)
        self._latent_dim, self._out, self._device = networks.latent_dim, out, device
        self._loader = DataLoader(
            TensorDataset(samples), batch_size=networks.batch_size, shuffle=True, num_workers=0, drop_last=True
        )
        self._batches = self._epochs()
        self._criterion = nn.BCELoss()
        self._optimizer_d = torch.optim.Adam(self._discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self._optimizer_g = torch.optim.Adam(self._generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def _epochs(self) -> Iterator[tuple[int, int, Tensor]]:
        epoch = 0
        while True:
            for number, (reals,) in enumerate(self._loader):
                yield epoch, number, reals
            epoch += 1

    def step(self) -> None:
        """Move D on reals, then on fakes, then G through D on the same fakes."""
        epoch, number, reals = next(self._batches)
        reals = reals.to(self._device)
        labels = torch.ones(len(reals), device=self._device)

        self._discriminator.zero_grad()
        scores = self._discriminator(reals).view(-1)
        loss_of_reals = self._criterion(scores, labels)
        loss_of_reals.backward()
        d_real = scores.mean().item()

        fakes = self._generator(torch.randn(len(reals), self._latent_dim, device=self._device))
        labels.fill_(0)
        scores = self._discriminator(fakes.detach()).view(-1)
        loss_of_fakes = self._criterion(scores, labels)
        loss_of_fakes.backward()
        d_fake = scores.mean().item()
        d_loss = loss_of_reals + loss_of_fakes
        self._optimizer_d.step()

        self._generator.zero_grad()
        labels.fill_(1)
        scores = self._discriminator(fakes).view(-1)
        g_loss = self._criterion(scores, labels)
        g_loss.backward()
        d_fake_again = scores.mean().item()
        self._optimizer_g.step()

        place = f"[{epoch}][{number}/{len(self._loader)}]"
        losses = f"Loss_D: {d_loss.item():.4f} Loss_G: {g_loss.item():.4f}"
        print(
            f"{place} {losses} D(x): {d_real:.4f} D(G(z)): {d_fake:.4f} / {d_fake_again:.4f}",
            file=self._out,
            flush=True,
        )


def main() -> None:
    """Train on made-up samples, with the library's defaults, until the steps are done or somebody ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", choices=NETWORKS)
    parser.add_argument("--steps", type=int, default=10**9)
    asked = parser.parse_args()
    networks = NETWORKS[asked.networks]()
    samples = torch.rand(MADE_UP_SAMPLES, *networks.shape) * 2 - 1
    baseline = Baseline(networks, samples, out=sys.stdout)
    for _ in range(asked.steps):
        baseline.step()


if __name__ == "__main__":
    main()

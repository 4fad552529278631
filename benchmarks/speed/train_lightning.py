"""The baseline's step by Lightning's Trainer with everything off. It runs under a Python that has Lightning and nothing
of this project, on one thread, and takes turns.
"""

import argparse
import logging
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.baseline import NETWORKS, Networks
from benchmarks.speed.turns import Turns


class Adversaries(LightningModule):  # type: ignore[misc]
    """Both players under manual optimisation; nothing is logged."""

    def __init__(self, networks: Networks, turns: Turns) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = networks.generator, networks.discriminator
        self.latent_dim, self.turns = networks.latent_dim, turns
        self.criterion = nn.BCELoss()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Wait for the turn."""
        self.turns.before_step()

    def training_step(self, batch: tuple[Tensor], batch_idx: int) -> None:
        """Move D on reals and detached fakes, then G through D on the same fakes."""
        optimizer_g, optimizer_d = self.optimizers()
        (reals,) = batch
        ones, zeros = torch.ones(len(reals)), torch.zeros(len(reals))
        fakes = self.generator(torch.randn(len(reals), self.latent_dim))

        optimizer_d.zero_grad()
        loss_of_reals = self.criterion(self.discriminator(reals).view(-1), ones)
        loss_of_fakes = self.criterion(self.discriminator(fakes.detach()).view(-1), zeros)
        self.manual_backward(loss_of_reals + loss_of_fakes)
        optimizer_d.step()

        optimizer_g.zero_grad()
        self.manual_backward(self.criterion(self.discriminator(fakes).view(-1), ones))
        optimizer_g.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Make both optimisers as the baseline has them."""
        players = (self.generator, self.discriminator)
        return [torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999)) for player in players]


def main() -> None:
    """Train until nobody asks for more steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", choices=NETWORKS)
    parser.add_argument("samples", type=int)
    asked = parser.parse_args()
    networks = NETWORKS[asked.networks]()
    turns = Turns()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    samples = torch.rand(asked.samples, *networks.shape) * 2 - 1
    loader = DataLoader(TensorDataset(samples), batch_size=networks.batch_size, shuffle=True, drop_last=True)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Adversaries(networks, turns), loader)


if __name__ == "__main__":
    main()

"""Recipes for images."""

from service.spec.facts import DatasetFacts
from service.spec.recipes.budget import extent_for, mlp_steps
from service.spec.recipes.recipe import Recipe, batch_for, equal_networks, penalised_descent, rates_of_dcgan


def small_pictures(facts: DatasetFacts) -> Recipe:
    """Pictures small enough to be read pixel by pixel."""
    if not facts.labels:
        return small_pictures_of_anything(facts)
    width, batch = 128, batch_for(facts, 64)
    return Recipe(
        "small pictures",
        "small networks and many small steps with strong penalties on both sides, fewer where values are many",
        {
            "model": {"latent_dim": 32, **equal_networks(facts, width=width, depth=2)},
            **penalised_descent(gamma=5.0),
            "loop": {"batch_size": batch, "max_steps": mlp_steps(18_000, width, facts, batch)},
        },
    )


def small_pictures_of_anything(facts: DatasetFacts) -> Recipe:
    """Pictures small enough to be read pixel by pixel, without labels that would tell their modes apart."""
    network, batch = {"width": 256, "depth": 2}, batch_for(facts, 64)
    return Recipe(
        "small pictures of anything",
        "real and generated pictures in pairs leave out fewer modes where no label names them",
        {
            "model": {"latent_dim": 64, "generator": network, "discriminator": network},
            **penalised_descent(gamma=2.0, loss="rpgan"),
            "loop": {"batch_size": batch, "max_steps": mlp_steps(6_000, network["width"], facts, batch)},
        },
    )


def convolutional(facts: DatasetFacts) -> Recipe:
    """Pictures through convolutions, as Radford et al. 2015 set them, as wide and long as their time allows."""
    batch = batch_for(facts, 16)
    extent = extent_for(facts, batch)
    return Recipe(
        "convolutional",
        "the classic rates of DCGAN; few channels and small batches, for many steps learn more than wide ones; a "
        "penalty on the slope at real pictures, without which D soon wins and G forgets the labels",
        {
            "model": {"latent_dim": 100, **equal_networks(facts, width=extent.width)},
            "objective": {"r1": 1.0},
            "loop": {"batch_size": batch, "max_steps": extent.steps},
            "optimizer": rates_of_dcgan(),
        },
    )


def residual(facts: DatasetFacts) -> Recipe:
    """Pictures through residual networks with spectral norm, as Miyato et al. 2018 set them."""
    adam = {"lr": 2e-4, "betas": (0.0, 0.9), "schedule": {"name": "linear"}}
    width = 64 if min(facts.shape[1:]) >= 32 else 32
    return Recipe(
        "residual",
        "spectral norm holds the discriminator back by itself, so no penalty is paid for",
        {
            "model": {"latent_dim": 128, **equal_networks(facts, width=width)},
            "objective": {"loss": "hinge"},
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 3_000},
            "optimizer": {"generator": adam, "discriminator": adam},
        },
    )


def without_normalisation(facts: DatasetFacts) -> Recipe:
    """Pictures through residual networks that penalties alone hold back, as Huang et al. 2024 set them."""
    width = 32 if min(facts.shape[1:]) >= 32 else 16
    return Recipe(
        "without normalisation",
        "pairs of real and generated pictures with penalties on both sides need no other trick, but many channels",
        {
            "model": {"latent_dim": 64, **equal_networks(facts, width=width)},
            **penalised_descent(gamma=1.0, loss="rpgan"),
            "loop": {"batch_size": batch_for(facts, 64), "max_steps": 3_000},
        },
    )


def few_pictures(facts: DatasetFacts) -> Recipe:
    """Few and larger pictures, as Liu et al. 2021 set them."""
    width = 32 if min(facts.shape[1:]) >= 32 else 16
    return Recipe(
        "few pictures",
        "the discriminator sees changed pictures and must draw what it sees, so few pictures are not learnt by heart",
        {
            "model": {"latent_dim": 128, **equal_networks(facts, width=width)},
            "objective": {"loss": "hinge", "reconstruction": 1.0, "augment": {}},
            "loop": {"batch_size": batch_for(facts, 16), "max_steps": 5_000},
            "optimizer": rates_of_dcgan(),
        },
    )

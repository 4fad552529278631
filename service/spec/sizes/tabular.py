"""The size of worker.gan.networks.tabular, whose discriminator is that of an mlp."""

from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of, dense, latent_parameters, latent_width
from service.spec.sizes.mlp import DEFAULT_DEPTH, MLP_HELD, mlp_discriminator_size
from service.spec.tables import layout_of

TABULAR_HELD = 8  # for each value of a row: what is added, the copula, the odds, the choices and their gradients
MOST_COPULA_NUMBERS = 2**17  # in the maps of all labels


def tabular_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of a table."""
    return ModelSize(tabular_generator_size(model, facts), mlp_discriminator_size(model, facts))


def tabular_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.generator.width, model.generator.depth or DEFAULT_DEPTH
    values, maps = prod(facts.shape), copula_maps(model, facts)
    hidden = sum(dense(width * level, width) for level in range(1, depth))
    one_map = model.latent_dim * copula_numbers(facts)
    return NetworkSize(
        parameters=latent_parameters(model, facts, width) + hidden + dense(width * depth, values),
        buffers=max(1, classes_of(model, facts)) * values + maps * one_map,
        activations_per_sample=latent_width(model, facts)
        + MLP_HELD * width * depth
        + width * depth * (depth + 1) // 2  # each layer's input beside its output
        + TABULAR_HELD * values
        + (one_map if maps > 1 else 0),
    )


def copula_numbers(facts: DatasetFacts) -> int:
    """Count the numbers of a row that are drawn from a copula."""
    return prod(facts.shape) - layout_of(facts.table).choices


def copula_maps(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the copulas: one for each label, one for all where those would be large."""
    classes = max(1, classes_of(model, facts))
    return classes if classes * model.latent_dim * copula_numbers(facts) <= MOST_COPULA_NUMBERS else 1

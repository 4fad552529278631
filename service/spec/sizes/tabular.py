"""The size of worker.gan.networks.tabular, whose discriminator is that of an mlp."""

from math import prod

from service.spec.facts import DatasetFacts, ModelSize, NetworkSize
from service.spec.parts.model import ModelSpec
from service.spec.sizes.layers import classes_of, dense, latent_parameters, latent_width
from service.spec.sizes.mlp import DEFAULT_DEPTH, MLP_HELD, mlp_discriminator_size
from service.spec.tables import layout_of

TABULAR_HELD = 8  # for each value of a row: what is added, the start, the odds, the choices and their gradients
KNOTS = 65  # of a curve that a column begins with
LEVELS = 3  # of curves and turns
MOST_UNFOLDED = 256  # columns of numbers; of more there is one level
MOST_START_NUMBERS = 2**18  # in the maps of all labels; where they would be more there is one map for all


def tabular_size(model: ModelSpec, facts: DatasetFacts) -> ModelSize:
    """Size both networks of a table."""
    return ModelSize(tabular_generator_size(model, facts), mlp_discriminator_size(model, facts))


def tabular_generator_size(model: ModelSpec, facts: DatasetFacts) -> NetworkSize:
    width, depth = model.generator.width, model.generator.depth or DEFAULT_DEPTH
    values, maps, columns = prod(facts.shape), start_maps(model, facts), columns_of_numbers(facts)
    hidden = sum(dense(width * level, width) for level in range(1, depth))
    return NetworkSize(
        parameters=latent_parameters(model, facts, width) + hidden + dense(width * depth, values),
        buffers=max(1, classes_of(model, facts)) * values + maps * numbers_of_a_map(facts),
        activations_per_sample=latent_width(model, facts)
        + MLP_HELD * width * depth
        + width * depth * (depth + 1) // 2  # each layer's input beside its output
        + TABULAR_HELD * values
        + maps * columns,  # a row turned by every map
    )


def columns_of_numbers(facts: DatasetFacts) -> int:
    """Count the numbers of a row."""
    return prod(facts.shape) - layout_of(facts.table).choices


def start_levels(facts: DatasetFacts) -> int:
    """Count the levels of curves and turns that the numbers begin with."""
    return LEVELS if columns_of_numbers(facts) <= MOST_UNFOLDED else 1


def numbers_of_a_map(facts: DatasetFacts) -> int:
    """Count the numbers of a map: for each level its curves and a turn."""
    columns = columns_of_numbers(facts)
    return start_levels(facts) * columns * (KNOTS + columns)


def start_maps(model: ModelSpec, facts: DatasetFacts) -> int:
    """Count the maps: one for each label, one for all where those would be large."""
    classes = max(1, classes_of(model, facts))
    return classes if classes * numbers_of_a_map(facts) <= MOST_START_NUMBERS else 1

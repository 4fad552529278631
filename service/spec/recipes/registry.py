"""The recipes by architecture and kind of data."""

from collections.abc import Callable

from service.spec.facts import DatasetFacts
from service.spec.recipes.pictures import (
    convolutional,
    few_pictures,
    residual,
    small_pictures,
    without_normalisation,
)
from service.spec.recipes.points import codebook_points
from service.spec.recipes.recipe import Recipe
from service.spec.recipes.sounds import long_sounds, short_sounds, sounds_as_spectra, sounds_as_timbres
from service.spec.recipes.tables import number_tables, tables


def recipe_for(facts: DatasetFacts, architecture: str) -> Recipe:
    """Return the defaults for this data under an architecture that takes it."""
    return RECIPES[architecture, facts.modality](facts)


RECIPES: dict[tuple[str, str], Callable[[DatasetFacts], Recipe]] = {
    ("mlp", "vector"): codebook_points,
    ("mlp", "image"): small_pictures,
    ("mlp", "table"): number_tables,
    ("tabular", "table"): tables,
    ("dcgan", "image"): convolutional,
    ("resnet", "image"): residual,
    ("r3", "image"): without_normalisation,
    ("lite", "image"): few_pictures,
    ("mlp", "audio"): short_sounds,
    ("timbre", "audio"): sounds_as_timbres,
    ("wave", "audio"): long_sounds,
    ("spectrogram", "audio"): sounds_as_spectra,
}

"""What a job will need, from its spec alone, so that one too large is refused before it is queued."""

from dataclasses import dataclass
from math import ceil, prod

from service.spec.architectures import model_size
from service.spec.compilation import COMPILER_BYTES, wants_to_compile
from service.spec.facts import DatasetFacts, ModelSize, TableColumn
from service.spec.job import JobSpec
from service.spec.objectives import OBJECTIVES
from service.spec.regularizers import highest
from service.spec.sizes.timbre import learning_bytes, timbre_bytes
from service.spec.tables import is_choice

# All measured as peak resident memory, torch 2.13 CPU with glibc; the figures stand in docs/log.md.
TRAINER_BYTES = 390 * 2**20  # a process with torch and scikit-learn loaded that has trained a small network
CHECKPOINT_COPIES = 2  # of the state: a snapshot while it is saved; where it is read, the file and its tensors
UPDATE_COPIES = 4  # of the weights in a step: both gradients, the optimiser's temporaries
SPECTRAL_COPIES = 4  # of D's weights where they are normalised: for each score, and the gradients in them
SECOND_DERIVATIVE = 1.5  # what a penalty adds to the activations of a score, in scores
AUGMENT_HELD = 8  # of a picture that is changed on its way to D, for each kind of change in turn
FRAGMENTATION = 1.5  # what the allocator holds over what lives, activations being of many sizes
MOMENTS = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 0}  # that an optimiser keeps of each weight
MEASURED_COPIES = 6  # in float64, of what quality is measured of: real and made rows, their features, a baseline
CHECKPOINT_HEADER_BYTES = 16 * 2**10
KNOT_BYTES = 24  # of a mixed table's encoding: a value and its interval of scores
MOST_KNOTS = 1_000  # of a column in worker.gan.data.quantiles, and some more for values that are frequent
CELL_BYTES = 16  # of a table's encoding: a value and its score, both float64
FREQUENCY_BYTES = 8  # of a sound's encoding: a loudness, float64


@dataclass(frozen=True)
class Estimate:
    """The size of a job: trained parameters of both networks, peak memory of its trainer, size of a checkpoint."""

    generator_parameters: int
    discriminator_parameters: int
    memory_bytes: int
    checkpoint_bytes: int


def estimate(spec: JobSpec, facts: DatasetFacts) -> Estimate:
    """Size a resolved spec."""
    size = model_size(spec.model, facts)
    number_bytes = 8 if spec.resources.precision == "float64" else 4
    kept = state_numbers(spec, size)
    numbers = (
        (1 + CHECKPOINT_COPIES) * kept
        + UPDATE_COPIES * (size.generator.parameters + size.discriminator.parameters)
        + (SPECTRAL_COPIES * size.discriminator.parameters if spec.model.discriminator.spectral_norm else 0)
        + facts.count * prod(facts.shape)
        + ceil(FRAGMENTATION * spec.loop.batch_size * activations_per_sample(spec, size, facts))
    )
    return Estimate(
        generator_parameters=size.generator.parameters,
        discriminator_parameters=size.discriminator.parameters,
        memory_bytes=TRAINER_BYTES
        + number_bytes * numbers
        + measuring_bytes(spec, facts)
        + (learning_bytes(facts) if spec.model.architecture == "timbre" else 0)
        + (COMPILER_BYTES if wants_to_compile(spec) else 0),
        checkpoint_bytes=CHECKPOINT_HEADER_BYTES + encoding_bytes(spec, facts) + number_bytes * kept,
    )


def measuring_bytes(spec: JobSpec, facts: DatasetFacts) -> int:
    """Bound what measuring quality holds beside a training."""
    return 8 * MEASURED_COPIES * spec.quality.count * prod(facts.shape) if spec.quality.every_steps else 0


def encoding_bytes(spec: JobSpec, facts: DatasetFacts) -> int:
    """Bound what a checkpoint holds of the way back to the data's units."""
    if facts.table:
        numbers = [column for column in facts.table if not is_choice(column)]
        return KNOT_BYTES * sum(knots(column, facts.count) for column in numbers) + 8 * len(numbers) ** 2
    if spec.model.architecture == "timbre":
        return timbre_bytes(facts.shape[1])
    if facts.modality == "audio":
        return FREQUENCY_BYTES * (facts.shape[1] // 2 + 1)
    return CELL_BYTES * facts.count * facts.shape[0] if facts.modality == "table" else 0


def knots(column: TableColumn, rows: int) -> int:
    """Bound the distinct values that are kept of a column of numbers."""
    steps = (column.maximum - column.minimum) * 10 ** (column.decimals or 0) + 1
    whole = column.kind != "continuous" or column.decimals is not None
    return ceil(min(rows, MOST_KNOTS, steps if whole else MOST_KNOTS))


def state_numbers(spec: JobSpec, size: ModelSize) -> int:
    """Count what a checkpoint holds: weights and their moments, the averaged generator, buffers."""
    generator, discriminator = size.generator, size.discriminator
    averaged = generator.parameters + generator.buffers if spec.model.ema.half_life_samples else 0
    return (
        (1 + MOMENTS[spec.optimizer.generator.name]) * generator.parameters
        + (1 + MOMENTS[spec.optimizer.discriminator.name]) * discriminator.parameters
        + generator.buffers
        + discriminator.buffers
        + averaged
    )


def activations_per_sample(spec: JobSpec, size: ModelSize, facts: DatasetFacts) -> float:
    """Count what one sample holds at the busiest moment: both scores of D's turn, or the whole chain of G's."""
    shown = AUGMENT_HELD * prod(facts.shape) if spec.objective.augment else 0
    scored = size.discriminator.activations_per_sample + shown
    made = size.generator.activations_per_sample
    objective = spec.objective
    on_scores = sum(highest(weight) > 0 for weight in (objective.r1, objective.r2))
    elsewhere = sum(highest(weight) > 0 for weight in (objective.gradient_penalty, objective.dragan))
    drawn = highest(objective.reconstruction) > 0
    scores_of_d = 2 + drawn + SECOND_DERIVATIVE * on_scores + (1 + SECOND_DERIVATIVE) * elsewhere
    scores_of_g = 2 if OBJECTIVES[objective.loss].needs_reals else 1
    return max(scores_of_d * scored, made + scores_of_g * scored)

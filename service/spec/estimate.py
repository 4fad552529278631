"""What a job will need, from its spec alone, so that one too large is refused before it is queued."""

from dataclasses import dataclass
from math import prod

from service.spec.architectures import ARCHITECTURES
from service.spec.facts import DatasetFacts, ModelSize
from service.spec.job import JobSpec, ScheduledValue

TRAINER_BYTES = 260 * 2**20  # a trainer with torch, numpy and scikit-learn loaded that has taken one step
CHECKPOINT_HEADER_BYTES = 16 * 2**10


@dataclass(frozen=True)
class Estimate:
    """The size of a job: trained parameters of both networks, peak memory of its trainer, size of a checkpoint."""

    generator_parameters: int
    discriminator_parameters: int
    memory_bytes: int
    checkpoint_bytes: int


def estimate(spec: JobSpec, facts: DatasetFacts) -> Estimate:
    """Size a resolved spec."""
    size = ARCHITECTURES[spec.model.architecture].size(spec.model, facts)
    number_bytes = 8 if spec.resources.precision == "float64" else 4
    kept = state_numbers(spec, size)
    numbers = (
        2 * kept  # the state, and the copy of it that a checkpoint is written from
        + size.generator.parameters
        + size.discriminator.parameters  # gradients
        + facts.count * prod(facts.shape)
        + spec.loop.batch_size * activations_per_sample(spec, size)
    )
    return Estimate(
        generator_parameters=size.generator.parameters,
        discriminator_parameters=size.discriminator.parameters,
        memory_bytes=TRAINER_BYTES + number_bytes * numbers,
        checkpoint_bytes=CHECKPOINT_HEADER_BYTES + number_bytes * kept,
    )


def state_numbers(spec: JobSpec, size: ModelSize) -> int:
    """Count what a checkpoint holds: weights, two moments of each, the averaged generator, buffers."""
    generator, discriminator = size.generator, size.discriminator
    averaged = generator.parameters + generator.buffers if spec.model.ema.half_life_samples else 0
    trained = 3 * (generator.parameters + discriminator.parameters)
    return trained + averaged + generator.buffers + discriminator.buffers


def activations_per_sample(spec: JobSpec, size: ModelSize) -> int:
    """Count what one sample holds at the busiest moment: both scores of D's turn, or the whole chain of G's."""
    scored = size.discriminator.activations_per_sample
    made = size.generator.activations_per_sample
    penalised = sum(is_penalised(weight) for weight in (spec.objective.r1, spec.objective.r2))
    return max((2 + 2 * penalised) * scored, made + scored) + made


def is_penalised(weight: float | ScheduledValue) -> bool:
    """Say whether a penalty takes part, and so a second derivative."""
    return (weight.initial if isinstance(weight, ScheduledValue) else weight) > 0

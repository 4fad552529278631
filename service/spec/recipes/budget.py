"""How wide the networks of pictures and sounds are and how long they train, so that what somebody uploads ends soon."""

from dataclasses import dataclass
from math import prod

from service.spec.facts import DatasetFacts
from service.spec.recipes.recipe import batch_for
from service.spec.sizes.dcgan import dcgan_multiply_adds
from service.spec.sizes.mlp import mlp_multiply_adds
from service.spec.sizes.wave import wave_multiply_adds

# Measured on one core of a server's CPU, docs/log.md. Seconds and work do not follow the machine that will train: the
# same data has the same recipe everywhere.
FLOP_A_SECOND = 30e9  # of convolutions with few channels, and of narrow layers
STEP_SECONDS = 0.02  # of a step of convolutions, however little it computes
MLP_STEP_SECONDS = 0.0075  # the same of an mlp with penalties on both sides
WAVE_FLOP_A_SECOND = {16: 36e9, 8: 22e9}  # of convolutions along time, by width: half the time goes by beside them
PASSES = 12  # of a sample through a network in a step, back counted as twice forth: 4 of G, 8 of D
SLOPE_COST = 1.35  # times as long a step of a dcgan takes with a penalty on the slope at reals

SMALL_PIXELS = 64 * 64
SMALL_SECONDS = 150  # of training with pictures up to SMALL_PIXELS; measured and saved, a job ends within 4 minutes
MOST_SECONDS = 16 * SMALL_SECONDS  # with any picture; that of 256 x 256
MLP_SECONDS = 160  # of training an mlp with pictures up to SMALL_PIXELS; that of the digits
MOST_STEPS = 4_000
ENOUGH_STEPS = 1_000  # to be worth a width; a half of that left dcgan far behind narrower ones
WIDTHS = (16, 8)  # a dcgan of 32 learnt less of pictures of 32 by 32 in the same time

SHORT_FRAMES = 16_000  # a second as sounds are stored by default
SHORT_SECONDS = 240  # of training with sounds up to SHORT_FRAMES
LONGEST_SECONDS = 15 * SHORT_SECONDS  # with any sound: an hour, that of 240,000 frames
ENOUGH_SOUND_STEPS = 500  # to be worth a size; a width of 16 was ahead of 8 with as few
SOUND_SIZES = ((16, 16), (16, 8), (8, 8), (8, 4))  # width and batch


@dataclass(frozen=True)
class Extent:
    """Channels of the largest maps of both networks, samples of a batch, and steps."""

    width: int
    batch: int
    steps: int


def extent_for(facts: DatasetFacts, batch: int) -> Extent:
    """Choose the widest networks that have enough steps in the time of such pictures, and all those steps."""
    seconds = training_seconds(facts)
    return first_with(
        ENOUGH_STEPS,
        [Extent(width, batch, steps_within(seconds, seconds_of_step(width, facts, batch))) for width in WIDTHS],
    )


def sound_extent_for(facts: DatasetFacts) -> Extent:
    """Choose the largest size that has enough steps in the time of such sounds, and all those steps."""
    seconds, sizes = sound_seconds(facts), [(width, batch_for(facts, largest)) for width, largest in SOUND_SIZES]
    return first_with(
        ENOUGH_SOUND_STEPS,
        [
            Extent(width, batch, steps_within(seconds, seconds_of_wave_step(width, facts, batch)))
            for width, batch in sizes
        ],
    )


def first_with(enough: int, extents: list[Extent]) -> Extent:
    """Choose the first extent of enough steps, the last where none has them."""
    return next((extent for extent in extents if extent.steps >= enough), extents[-1])


def training_seconds(facts: DatasetFacts) -> float:
    """Return how long a dcgan may train with such pictures on one core."""
    return SMALL_SECONDS * times_as_long(facts)


def times_as_long(facts: DatasetFacts) -> float:
    """Return how many times as long as with small pictures a training may take: in proportion to pixels above them."""
    return min(MOST_SECONDS / SMALL_SECONDS, max(1.0, prod(facts.shape[1:]) / SMALL_PIXELS))


def steps_within(seconds: float, step_seconds: float, most: int = MOST_STEPS) -> int:
    """Count the steps of so long each that fit into so many seconds, at least one."""
    return max(1, min(most, int(seconds / step_seconds)))


def seconds_of_step(width: int, facts: DatasetFacts, batch: int) -> float:
    """Estimate a step of a dcgan with its penalty on one core."""
    return SLOPE_COST * (STEP_SECONDS + seconds_of_work(batch * dcgan_multiply_adds(width, facts)))


def mlp_steps(most: int, width: int, facts: DatasetFacts, batch: int) -> int:
    """Count the steps of an mlp with two hidden layers that fit into the time of such pictures, at least one."""
    seconds = MLP_SECONDS * times_as_long(facts)
    return steps_within(seconds, seconds_of_mlp_step(width, facts, batch), most)


def seconds_of_mlp_step(width: int, facts: DatasetFacts, batch: int) -> float:
    """Estimate a step of an mlp with two hidden layers on one core."""
    return MLP_STEP_SECONDS + seconds_of_work(batch * mlp_multiply_adds(width, 2, facts))


def sound_seconds(facts: DatasetFacts) -> float:
    """Return how long a wave may train with such sounds on one core: in proportion to frames above the short."""
    return min(LONGEST_SECONDS, SHORT_SECONDS * max(1.0, facts.shape[1] / SHORT_FRAMES))


def seconds_of_wave_step(width: int, facts: DatasetFacts, batch: int) -> float:
    """Estimate a step of a wave of one of the widths of SOUND_SIZES on one core."""
    return STEP_SECONDS + seconds_of_work(batch * wave_multiply_adds(width, facts), WAVE_FLOP_A_SECOND[width])


def seconds_of_work(multiply_adds: int, flop_a_second: float = FLOP_A_SECOND) -> float:
    """Estimate what a step computes, of which one pass of a batch through either network multiplies so much."""
    return 2 * PASSES * multiply_adds / flop_a_second

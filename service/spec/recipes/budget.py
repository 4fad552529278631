"""How wide the networks of pictures are and how long they train, so that what somebody uploads ends within minutes."""

from dataclasses import dataclass
from math import prod

from service.spec.facts import DatasetFacts
from service.spec.sizes.dcgan import dcgan_multiply_adds

# Measured on one core of a server's CPU, docs/log.md. Seconds and work do not follow the machine that will train: the
# same data has the same recipe everywhere.
FLOP_A_SECOND = 30e9  # of convolutions with few channels
STEP_SECONDS = 0.02  # of a step, however little it computes
PASSES = 12  # of a sample through a network in a step, back counted as twice forth: 4 of G, 8 of D

SMALL_PIXELS = 64 * 64
SMALL_SECONDS = 150  # of training with pictures up to SMALL_PIXELS; measured and saved, a job ends within 4 minutes
MOST_SECONDS = 16 * SMALL_SECONDS  # with any picture; that of 256 x 256
MOST_STEPS = 4_000
ENOUGH_STEPS = 1_000  # to be worth a width; a half of that left dcgan far behind narrower ones
WIDTHS = (16, 8)  # a dcgan of 32 learnt less of pictures of 32 by 32 in the same time


@dataclass(frozen=True)
class Extent:
    """Channels of the largest maps of both networks, and steps."""

    width: int
    steps: int


def extent_for(facts: DatasetFacts, batch: int) -> Extent:
    """Choose the widest networks that have enough steps in the time of such pictures, and all those steps."""
    extents = [Extent(width, steps_within(training_seconds(facts), width, facts, batch)) for width in WIDTHS]
    return next((extent for extent in extents if extent.steps >= ENOUGH_STEPS), extents[-1])


def training_seconds(facts: DatasetFacts) -> float:
    """Return how long a training of such pictures may take on one core: in proportion to pixels above the small."""
    return min(MOST_SECONDS, SMALL_SECONDS * max(1.0, prod(facts.shape[1:]) / SMALL_PIXELS))


def steps_within(seconds: float, width: int, facts: DatasetFacts, batch: int) -> int:
    """Count the steps of a dcgan that fit into so many seconds, at least one."""
    return max(1, min(MOST_STEPS, int(seconds / seconds_of_step(width, facts, batch))))


def seconds_of_step(width: int, facts: DatasetFacts, batch: int) -> float:
    """Estimate a step of a dcgan on one core."""
    return STEP_SECONDS + 2 * PASSES * batch * dcgan_multiply_adds(width, facts) / FLOP_A_SECOND

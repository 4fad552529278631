"""How many threads a job's steps keep busy."""

from service.spec.estimate import estimate
from service.spec.facts import DatasetFacts
from service.spec.job import JobSpec

# Weights times batch. Measured on two cores: below, handing work to a second thread costs more than the thread brings
# (a step of the digits' recipe took 2.9 ms on one and 9.1 ms on two); from four times this on it brings 1.5.
WORTH_SHARING = 2**27


def threads_for(spec: JobSpec, facts: DatasetFacts, most: int) -> int:
    """Return one thread for small networks and all of a slot's share for large ones."""
    size = estimate(spec, facts)
    weights = size.generator_parameters + size.discriminator_parameters
    return most if weights * spec.loop.batch_size >= WORTH_SHARING else 1

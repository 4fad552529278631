"""Penalties by their key in a spec's objective. What is said of them to clients stands in service.spec.regularizers."""

from service.spec.parts.objective import ObjectiveSpec
from service.spec.regularizers import highest
from worker.gan.penalties.gradient import FakeSlope, RealSlope, SlopeAround, SlopeBetween
from worker.gan.penalties.lecam import LeCam
from worker.gan.penalties.reconstruction import Reconstruction
from worker.gan.rounds import Penalty

PENALTIES: dict[str, type[Penalty]] = {
    "r1": RealSlope,
    "r2": FakeSlope,
    "gradient_penalty": SlopeBetween,
    "dragan": SlopeAround,
    "lecam": LeCam,
    "reconstruction": Reconstruction,
}


def make_penalties(spec: ObjectiveSpec) -> dict[str, Penalty]:
    """Make the penalties that take part at any step."""
    return {name: penalty() for name, penalty in PENALTIES.items() if highest(getattr(spec, name)) > 0}

"""Objectives by name. Their formulas and equilibria stand in service.spec.objectives."""

from worker.gan.objectives.hinge import HINGE
from worker.gan.objectives.least_squares import LEAST_SQUARES
from worker.gan.objectives.log_loss import NON_SATURATING, SATURATING
from worker.gan.objectives.objective import Objective
from worker.gan.objectives.relativistic import RELATIVISTIC_AVERAGE, RELATIVISTIC_PAIRING
from worker.gan.objectives.wasserstein import WASSERSTEIN

OBJECTIVES: dict[str, Objective] = {
    "saturating": SATURATING,
    "non_saturating": NON_SATURATING,
    "rpgan": RELATIVISTIC_PAIRING,
    "relativistic_average": RELATIVISTIC_AVERAGE,
    "hinge": HINGE,
    "least_squares": LEAST_SQUARES,
    "wasserstein": WASSERSTEIN,
}

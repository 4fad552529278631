"""Objectives by name. Their formulas and equilibria stand in service.spec.objectives."""

from worker.gan.objectives.log_loss import NON_SATURATING, SATURATING
from worker.gan.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "saturating": SATURATING,
    "non_saturating": NON_SATURATING,
}

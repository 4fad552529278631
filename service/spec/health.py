"""What can be wrong between the two players, by rule: what raises it, what to try. Judged in worker.gan.diagnosis."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.spec.job import HealthSpec, JobSpec
from service.spec.objectives import loss_columns

Action = Literal["warn", "stop", "rollback"]
RuleState = Literal["healthy", "raised", "cleared", "not_applicable"]

LOOK_BACK_STEPS = 400  # that trouble can have lasted for when a rule is raised
MOST_ROLLBACKS = 3
RATE_AFTER_ROLLBACK = 0.5  # of both learning rates before it


@dataclass(frozen=True)
class RuleFacts:
    """A rule as the spec sees it: whether a job can be judged by it, and advice that names the keys to change."""

    name: str
    description: str
    advice: str
    applies: Callable[[JobSpec], bool] = lambda _: True


def action_for(spec: JobSpec, rule: str) -> Action:
    """Return what a job does when a rule is raised."""
    action: Action = getattr(spec.health, f"on_{rule}")
    return action


def look_back_for(health: HealthSpec) -> int | None:
    """Return from before how many steps a checkpoint is wanted to roll back to, None where nothing is rolled back."""
    return LOOK_BACK_STEPS if "rollback" in health.model_dump().values() else None


def rate_factor(rollbacks: int) -> float:
    """Return what the learning rates of a job are multiplied with after so many rollbacks."""
    return RATE_AFTER_ROLLBACK**rollbacks


def _scores_log_odds(spec: JobSpec) -> bool:
    return spec.objective.loss in {"saturating", "non_saturating", "rpgan", "relativistic_average"}


def _records_probabilities(spec: JobSpec) -> bool:
    return "d_fake" in loss_columns(spec.objective.loss)


RULES: dict[str, RuleFacts] = {
    facts.name: facts
    for facts in (
        RuleFacts(
            name="saturation",
            description="The discriminator rejects with such confidence that the saturating loss has no slope left.",
            advice="Set objective.loss to non_saturating. Or restrain the discriminator: raise objective.r1, lower "
            "optimizer.discriminator.lr or loop.discriminator_steps.",
            applies=lambda spec: spec.objective.loss == "saturating",
        ),
        RuleFacts(
            name="discriminator_wins",
            description="The discriminator tells all samples apart, and the generator's gradient falls.",
            advice="Raise objective.r1 or objective.r2, or lower optimizer.discriminator.lr or "
            "loop.discriminator_steps.",
            applies=_records_probabilities,
        ),
        RuleFacts(
            name="discriminator_blind",
            description="The discriminator can only guess although the samples are far from the data.",
            advice="Strengthen the discriminator: raise model.discriminator.width, optimizer.discriminator.lr or "
            "loop.discriminator_steps, or lower objective.r1 and objective.r2.",
            applies=_records_probabilities,
        ),
        RuleFacts(
            name="collapse",
            description="The generator makes nearly the same sample from all latents, has lost half of the modes, or "
            "pleases the discriminator with samples far from the data.",
            advice="Set objective.loss to rpgan with objective.r1 and objective.r2 above 0, lower "
            "optimizer.generator.lr, and keep optimizer.discriminator.lr above 0.",
        ),
        RuleFacts(
            name="divergence",
            description="A number is no longer finite, or a loss is far beyond anything it was.",
            advice="Lower optimizer.generator.lr and optimizer.discriminator.lr, or raise the gradient penalty "
            "objective.r1.",
        ),
        RuleFacts(
            name="rotation",
            description="The players run round each other in circles that grow.",
            advice="Raise objective.r1, which damps the rotation; or lower both learning rates, lower "
            "optimizer.*.betas, or set loop.variant to original.",
            applies=_records_probabilities,
        ),
        RuleFacts(
            name="memorisation",
            description="The discriminator knows the samples that it was trained on from those that it was not.",
            advice="Use more data, raise objective.r1, lower model.discriminator.width, or stop earlier with "
            "loop.max_steps.",
            applies=_scores_log_odds,
        ),
        RuleFacts(
            name="stale_quality",
            description="The followed quality metric was best in the first half of the steps and is clearly worse now.",
            advice="Take the best checkpoint, and stop there next time with quality.early_stop or loop.max_steps. To "
            "get further, lower optimizer.generator.lr and optimizer.discriminator.lr, or raise "
            "model.generator.width.",
            applies=lambda spec: bool(spec.quality.every_steps),
        ),
    )
}

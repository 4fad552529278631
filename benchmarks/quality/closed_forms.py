"""Bar B8: the real objectives, loops and optimiser against what is known of them in closed form."""

from collections.abc import Iterator
from math import exp, log

import torch

from benchmarks.quality.bars import Bar
from benchmarks.quality.dirac import dirac_training, radius
from benchmarks.quality.trials import RECIPE, Trial, fingerprint
from service.spec.job import JobSpec
from service.spec.resolve import parse_spec, resolve
from worker.gan.objectives.registry import OBJECTIVES

STEPS, STEP_SIZE = 300, 0.2
GAMMAS = (0.0, 0.3, 1.0)
FINAL_RADII = {
    ("saturating", "fused"): (2.866313269, 6.517648907e-4, 6.970219519e-12),
    ("saturating", "original"): (1.350634998, 1.331038176e-4, 1.021450655e-9),
    ("non_saturating", "fused"): (0.6391951157, 5.361508586e-4, 2.103061888e-12),
    ("non_saturating", "original"): (0.3448942510, 1.045650303e-4, 5.615856987e-10),
}
"""How far from the equilibrium the Dirac-GAN is at the end, from (1, 1), for each gamma of R1. The alternating loops
agree on it: a fake that never changes is as good as a fresh one.
"""
FINAL_RADII |= {(loss, "reuse"): radii for (loss, variant), radii in FINAL_RADII.items() if variant == "original"}

PROBABILITIES = ((0.5, 0.5), (0.9, 0.1), (0.8, 0.3), (0.99, 0.01), (0.1, 0.9))  # D(x) and D(G(z))
LOGITS = (-1.0, -2.0, -5.0, -10.0, -20.0)  # of fakes, ever more certainly rejected


def try_closed_forms(bar: Bar) -> Trial:
    """Return the largest relative error of each kind."""
    errors = {
        "radius_error": max(radius_errors()),
        "loss_error": max(loss_errors()),
        "gradient_error": max(gradient_errors()),
    }
    return Trial(bar.id, bar.dataset, RECIPE, bar.seeds[0], tables_fingerprint(), None, None, {**errors}, {}, {})


def tables_fingerprint() -> str:
    """Name what is compared."""
    return fingerprint([*FINAL_RADII.values()], PROBABILITIES, LOGITS)


def radius_errors() -> Iterator[float]:
    """Train the Dirac-GAN with each loss, loop and gamma."""
    for (loss, variant), radii in FINAL_RADII.items():
        for gamma, expected in zip(GAMMAS, radii, strict=True):
            yield relative_error(final_radius(dirac_spec(loss, variant, gamma)), expected)


def dirac_spec(loss: str, variant: str, gamma: float) -> JobSpec:
    """Resolve plain descent with R1 alone."""
    plain = {"name": "sgd", "lr": STEP_SIZE, "schedule": {"name": "constant", "warmup_steps": 0}}
    posted = {
        "dataset": "ring",
        "seed": 1,
        "objective": {"loss": loss, "r1": gamma, "r2": 0},
        "loop": {"variant": variant, "batch_size": 8, "max_steps": STEPS},
        "optimizer": {"generator": plain, "discriminator": plain},
        "resources": {"threads": 1},
    }
    return resolve(parse_spec(posted), memory_limit_bytes=2**40).spec


def final_radius(spec: JobSpec) -> float:
    """Train and return the distance to the equilibrium."""
    training = dirac_training(spec)
    for _ in range(STEPS):
        training.step()
    return radius(training)


def loss_errors() -> Iterator[float]:
    """Compare the recorded numbers of the log-loss family with their definitions."""
    for d_real, d_fake in PROBABILITIES:
        measured = measured_terms(d_real, d_fake)
        for name, expected in defined_terms(d_real, d_fake).items():
            yield relative_error(measured[name], expected)


def measured_terms(d_real: float, d_fake: float) -> dict[str, float]:
    """Return what the objectives say of one real and one fake with these probabilities."""
    real, fake = (torch.tensor([log(p / (1 - p))], dtype=torch.float64) for p in (d_real, d_fake))
    objective = OBJECTIVES["non_saturating"]
    d_terms, g_terms = objective.discriminator(real, fake, 1.0), objective.generator(fake, None)
    terms = {**d_terms, **g_terms, **objective.joint(d_terms, g_terms)}
    return {name: term.item() for name, term in terms.items()}


def defined_terms(d_real: float, d_fake: float) -> dict[str, float]:
    """Return the same from the probabilities, by definition."""
    value = log(d_real) + log(1 - d_fake)
    return {
        "value": value,
        "d_loss": -value,
        "d_loss_real": -log(d_real),
        "d_loss_fake": -log(1 - d_fake),
        "g_loss_saturating": log(1 - d_fake),
        "g_loss_non_saturating": -log(d_fake),
        "total_loss": -value - log(d_fake),
        "d_real": d_real,
        "d_fake": d_fake,
    }


def gradient_errors() -> Iterator[float]:
    """Compare both generator gradients in the logit of a fake with their closed forms."""
    for logit in LOGITS:
        probability = 1 / (1 + exp(-logit))
        yield relative_error(fake_gradient("saturating", logit), -probability)
        yield relative_error(fake_gradient("non_saturating", logit), -1 / (1 + exp(logit)))


def fake_gradient(loss: str, logit: float) -> float:
    """Return the gradient of a generator's loss in the logit of its one fake."""
    fake = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(OBJECTIVES[loss].generator(fake, None)["g_loss"], fake)
    return float(gradient.item())


def relative_error(value: float, expected: float) -> float:
    """Return how far a value lies from the expected one, in units of it."""
    return abs(value - expected) / abs(expected)

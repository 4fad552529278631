"""The rules: each looks at the newest rows and check-ups, says what is wrong with its numbers, or nothing."""

import numpy as np

from service.spec.health import LOOK_BACK_STEPS
from service.spec.objectives import reduction_factor, references, scores_in_batch
from service.spec.quality import METRICS
from worker.gan.diagnosis.case import Case, Finding, Rule, found
from worker.gan.diagnosis.checkup import CHECK_EVERY_STEPS, Checkup

COLUMNS = ("d_loss", "g_loss", "d_real", "d_fake", "g_grad_norm")  # that rules look at, where a job records them
WINDOW = LOOK_BACK_STEPS  # rows that a rule can look back on
CHECKUPS = WINDOW // CHECK_EVERY_STEPS  # and check-ups
_SHORT, _LONG = 50, 200
_BURST = 10
_STALE_POINTS = 10
_STALE_DEVIATIONS = 5.5
_APART = 3  # measuring points: neighbours are alike, as the weights are


def saturation(case: Case) -> Finding | None:
    """D(G(z)) below 0.01: the slope of log(1 - D) is then below a 99th of that of -log D (the factor (1 - D) / D)."""
    if case.length < _SHORT:
        return None
    d_fake = float(case.newest("d_fake", _SHORT).mean())
    if d_fake >= (0.02 if case.is_raised else 0.01):
        return None
    return found(case, _SHORT, d_fake=d_fake, slope_lost=(1 - d_fake) / max(d_fake, 1e-30))


def discriminator_wins(case: Case) -> Finding | None:
    """Next to no loss left for D, both kinds told apart for certain, and a gradient for G that falls."""
    if case.length < _LONG:
        return None
    d_loss = float(case.newest("d_loss", _SHORT).mean()) / _factor(case, "d_loss")
    d_real, d_fake = (float(case.newest(column, _SHORT).mean()) for column in ("d_real", "d_fake"))
    gradients = case.newest("g_grad_norm", _LONG)
    before, after = float(np.median(gradients[:_SHORT])), float(np.median(gradients[-_SHORT:]))
    is_won = d_loss < 0.02 and d_real > 0.99 and d_fake < 0.01 and after < before
    stays_won = case.is_raised and d_loss < 0.04
    if not (is_won or stays_won):
        return None
    return found(case, _LONG, d_loss=d_loss, d_real=d_real, d_fake=d_fake, g_grad_norm=after)


def discriminator_blind(case: Case) -> Finding | None:
    """D answers the same to both kinds, as at the equilibrium, while the samples are far from the data."""
    if case.length < _LONG or len(case.checkups) < 2:
        return None
    d_real, d_fake = (float(case.newest(column, _LONG).mean()) for column in ("d_real", "d_fake"))
    expected = references(case.spec)["d_real"]
    distance = min(checkup.distance for checkup in case.checkups[-2:])
    near, far = (0.04, 0.15) if case.is_raised else (0.02, 0.25)
    if max(abs(d_real - expected), abs(d_fake - expected)) > near or distance < far:
        return None
    return found(case, _LONG, d_real=d_real, d_fake=d_fake, distance=distance)


def collapse(case: Case) -> Finding | None:
    """Samples that once were varied, or have had time to become so, are alike; or reach half of the places they did; or
    please D better than the data does, far from it: where a generator goes that D does not follow.
    """
    if not case.checkups:
        return None
    newest = case.checkups[-1]
    is_alike, lasts = _is_alike(case, newest), _is_halved(case) or _is_astray(case)
    if not (is_alike or lasts):
        return None
    numbers = {name: getattr(newest, name) for name in ("diversity", "coverage", "distance", "fooled")}
    return found(case, CHECK_EVERY_STEPS * (1 if is_alike else 2), **numbers, best_coverage=case.past.coverage)


def _is_alike(case: Case, newest: Checkup) -> bool:
    bar = 0.2 if case.is_raised else 0.1
    return newest.diversity < bar and (case.past.diversity >= 0.2 or newest.step >= 1_000)


def _is_halved(case: Case) -> bool:
    best, share = case.past.coverage, 0.6 if case.is_raised else 0.5
    bar = share * min(best, 1.0) if best > 0.5 else 0.0
    return len(case.checkups) > 1 and all(checkup.coverage < bar for checkup in case.checkups[-2:])


def _is_astray(case: Case) -> bool:
    often, far = (0.5, 0.07) if case.is_raised else (0.6, 0.1)
    newest = case.checkups[-2:]
    return len(newest) > 1 and all(checkup.fooled > often and checkup.distance > far for checkup in newest)


def divergence(case: Case) -> Finding | None:
    """A loss for several steps beyond a hundred times its running median, or beyond any sense from the beginning."""
    if case.length < _SHORT:
        return None
    for column in ("d_loss", "g_loss"):
        values = np.abs(case.rows[column]) / _factor(case, column)
        loss, median = float(np.median(values[-_BURST:])), float(np.median(values[:-_BURST]))
        # The floor: losses near 0 have no scale. The ceiling: a run that was never sane has no healthy median.
        limit = min(100 * max(median, 1.0), 1e4)
        if loss > (limit / 2 if case.is_raised else limit):
            began = int(np.argmax(values > limit / 2))
            return found(case, case.length - began, **{column: loss, "median": median})
    return None


def outbreak(case: Case) -> int:
    """Return how many of the newest rows follow the last one with losses of a sane size: before a number is no longer
    finite, losses grow for some steps.
    """
    calm = np.ones(case.length, dtype=bool)
    for column in ("d_loss", "g_loss"):
        values = np.abs(case.rows[column]) / _factor(case, column)
        finite = np.append(values[np.isfinite(values)], 1.0)
        calm &= values <= 10 * max(float(np.median(finite)), 1.0)
    return case.length - 1 - int(np.max(np.flatnonzero(calm), initial=-1))


def rotation(case: Case) -> Finding | None:
    """D(x) - D(G(z)) swings regularly and ever wider: the unstable spiral of Mescheder et al. 2018, section 2."""
    if case.length < WINDOW:
        return None
    gap = case.newest("d_real", WINDOW) - case.newest("d_fake", WINDOW)
    smooth = np.convolve(gap - gap.mean(), np.full(_BURST, 1 / _BURST), mode="valid")
    swings = _turns(smooth)
    before, after = (float(part.std()) for part in (smooth[: len(smooth) // 2], smooth[len(smooth) // 2 :]))
    grows = after > (0.8 if case.is_raised else 1.3) * before and after > 0.05
    if not (grows and swings >= 4 and _regularity(smooth) > 0.6):
        return None
    return found(case, WINDOW, swings=swings, amplitude_before=before, amplitude=after)


def memorisation(case: Case) -> Finding | None:
    """The gap between D's scores of its training data and of data held out, in log odds: wide and widening.

    In deviations of the scores it would be wide in every small data set, long before it does any harm.
    """
    gaps = [checkup.memory for checkup in case.checkups if checkup.memory is not None]
    if len(gaps) < CHECKUPS:
        return None
    before, after = float(np.mean(gaps[:4])), float(np.mean(gaps[4:]))
    is_wide = after > (2.0 if case.is_raised else 3.0)
    if not is_wide or (after <= before and not case.is_raised):
        return None
    return found(case, CHECKUPS * CHECK_EVERY_STEPS, gap_before=before, gap=after)


def stale_quality(case: Case) -> Finding | None:
    """The best value lies in the first half of the training, and the newest ten are worse by far more than noise.

    The best of many values on a plateau of noise lies some deviations above it, and as likely in the first half as in
    the second. The mean of ten that is 5.5 deviations below it is no noise: in 400 simulated plateaus each of 20 to 200
    measuring points, judged at every point, the rule was raised in 0.7 to 2.3 % (in 0.7 to 3 % where neighbours are
    correlated by 0.5, in 10 to 24 % by 0.8), and in 88 % of falls by six deviations over 37 of 50 points. The deviation
    is that of differences between points three apart, which a slow fall hardly widens.
    """
    if not case.merits:
        return None
    steps = sorted(case.merits)
    best = max(steps, key=case.merits.__getitem__)
    since = np.array([case.merits[step] for step in steps if step > best])
    if len(since) < _STALE_POINTS or case.last_step < 2 * best:
        return None
    mean = float(since[-_STALE_POINTS:].mean())
    noise = float(np.sqrt(np.mean(np.square(since[_APART:] - since[:-_APART])) / 2))
    if case.merits[best] - mean <= (_STALE_DEVIATIONS / 2 if case.is_raised else _STALE_DEVIATIONS) * noise:
        return None
    sign = 1 if METRICS[case.spec.quality.metric or ""].better == "higher" else -1
    values = {"best": sign * case.merits[best], "mean_of_newest": sign * mean, "noise": noise}
    return found(case, case.last_step - best, points=len(since), **values)


def _factor(case: Case, column: str) -> float:
    return reduction_factor(column, case.spec.objective.reduction, scores_in_batch(case.spec))


def _turns(values: np.ndarray) -> int:
    """Count the changes of sign."""
    return int(np.count_nonzero(np.diff(np.signbit(values))))


def _regularity(values: np.ndarray) -> float:
    """Return the height of the autocorrelation's first peak after it has fallen below 0: 1 for a pure wave."""
    n = len(values)
    overlaps = np.correlate(values, values, mode="full")[n - 1 :]
    correlation = overlaps / max(float(overlaps[0]), 1e-30) * n / (n - np.arange(n))
    below = np.flatnonzero(correlation[: n // 2] < 0)
    return float(correlation[below[0] : n // 2].max()) if len(below) else 0.0


JUDGES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        saturation,
        discriminator_wins,
        discriminator_blind,
        collapse,
        divergence,
        rotation,
        memorisation,
        stale_quality,
    )
}

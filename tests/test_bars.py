"""The quality bars: what a rule says of figures, and that a trial gives every figure that its bar asks for."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality.bars import BARS, Bar, Rule
from benchmarks.quality.page import is_recorded, tables
from benchmarks.quality.trials import Trial, recipe_of, try_seed


def hurried(bar: Bar) -> Bar:
    """Train hardly at all, of the data as it is."""
    return replace(bar, protocol={**bar.protocol, "loop": {"max_steps": 3}})


@pytest.mark.parametrize(
    ("rule", "value", "beside", "holds"),
    [
        (Rule("width", 0.8, 1.25), 1.0, None, True),
        (Rule("width", 0.8, 1.25), 0.79, None, False),
        (Rule("width", 0.8, 1.25), 1.26, None, False),
        (Rule("reverse_kl", most=0.01), 0.01, None, True),
        (Rule("tstr", -0.01, beside="real"), 0.96, 0.97, True),
        (Rule("tstr", -0.01, beside="real"), 0.95, 0.97, False),
        (Rule("tstr", -0.01, beside="real"), 0.95, None, False),
        (Rule("modes", 8), None, None, False),
    ],
)
def test_a_rule_holds_within_its_bounds(rule: Rule, value: float | None, beside: float | None, holds: bool) -> None:
    assert rule.holds(value, beside) is holds


@pytest.mark.parametrize("bar", [bar for bar in BARS if bar.dataset in ("ring", "iris", "digits")], ids=str)
def test_a_trial_has_every_figure_that_its_bar_asks_for(bar: Bar, tmp_path: Path) -> None:
    trial = try_seed(hurried(bar), 1, cache=tmp_path, picture=tmp_path / "picture.png")

    rows = {"real": trial.real, **trial.baselines}
    assert all(trial.metrics[rule.metric] is not None for rule in bar.rules)
    assert all(rows[rule.beside][rule.metric] is not None for rule in bar.rules if rule.beside is not None)
    assert (tmp_path / "picture.png").exists() == (bar.dataset != "iris")


def test_a_figure_of_another_recipe_does_not_stand_for_todays() -> None:
    bar = BARS[0]

    assert recipe_of(bar) == recipe_of(bar)
    assert recipe_of(hurried(bar)) != recipe_of(bar)
    assert not is_recorded(replace(bar, id="B0"), 1)


def test_the_page_tells_medians_and_whether_they_clear_the_bar() -> None:
    bar = BARS[0]
    good = {"modes": 8.0, "high_quality": 0.97, "reverse_kl": 0.001, "width": 1.0}
    narrow = good | {"width": 0.5}
    trials = [
        Trial(bar.id, bar.dataset, seed, recipe_of(bar), 20.0, metrics, good, {"gaussian": good | {"modes": 1.0}})
        for seed, metrics in enumerate([good, narrow, narrow], 1)
    ]

    page = tables(trials)

    assert "| modes >= 8 | 8 | met |" in page
    assert "| width >= 0.8 and <= 1.25 | 0.5 | missed |" in page
    assert "| seconds <= 30 | 20.0 | met |" in page
    assert "| *gaussian* | 1 |" in page

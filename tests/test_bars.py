"""The quality bars: what a rule says of figures, that a trial gives all that its bar asks for, what the page tells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.quality.bars import BARS, Bar, Rule
from benchmarks.quality.page import OUTDATED, PAGE, rewritten, tables
from benchmarks.quality.record import add_trial, read_trials
from benchmarks.quality.rival import HOME, is_installed, train_ctgan, with_gaps, without_gaps, write_file
from benchmarks.quality.tasks import Task, carry_out_all, is_done, tasks_of, todays_recipe
from benchmarks.quality.trials import (
    CPU,
    TSTR_DRAWS,
    Trial,
    first_rows,
    mean_tstr,
    opened,
    recipe_of,
    spec_of,
    try_seed,
    tstr_of,
)
from service.spec.datasets import SURVEY
from worker.gan.data.registry import OPENERS
from worker.gan.networks import players
from worker.gan.training import Training
from worker.measurer import measure_training

RING = BARS[0]
IRIS = next(bar for bar in BARS if bar.dataset == "iris")
OF_SURVEY = next(bar for bar in BARS if bar.id == "B9")
GOOD = {"modes": 8.0, "high_quality": 0.97, "reverse_kl": 0.001, "width": 1.0}


def hurried(bar: Bar) -> Bar:
    """Train hardly at all, of the data as it is."""
    return replace(bar, protocol={**bar.protocol, "loop": {"max_steps": 3}})


def a_trial(bar: Bar, seed: int, metrics: dict[str, float | None], *, by: str = "recipe", cpu_s: float = 19.0) -> Trial:
    recipe = todays_recipe(Task(bar, seed, by))
    return Trial(bar.id, bar.dataset, by, seed, recipe, 20.0, cpu_s, metrics, metrics, {"gaussian": {"modes": 1.0}})


@pytest.mark.parametrize(
    ("rule", "value", "beside", "holds"),
    [
        (Rule("width", 0.8, 1.25), 1.0, None, True),
        (Rule("width", 0.8, 1.25), 0.79, None, False),
        (Rule("width", 0.8, 1.25), 1.26, None, False),
        (Rule("reverse_kl", most=0.01), 0.01, None, True),
        (Rule("tstr", -0.01, beside="real"), 0.965, 0.97, True),
        (Rule("tstr", -0.01, beside="real"), 0.95, 0.97, False),
        (Rule("tstr", -0.01, beside="real"), 0.95, None, False),
        (Rule("cpu_seconds", most=0, beside="ctgan", factor=0.1), 40, 500, True),
        (Rule("cpu_seconds", most=0, beside="ctgan", factor=0.1), 51, 500, False),
        (Rule("modes", 8), None, None, False),
    ],
)
def test_a_rule_holds_within_its_bounds(rule: Rule, value: float | None, beside: float | None, holds: bool) -> None:
    assert rule.holds(rule.judged(value, beside)) is holds


@pytest.mark.parametrize("bar", [bar for bar in BARS if bar.dataset in ("ring", "iris", "digits", "tones")], ids=str)
def test_a_trial_has_every_figure_that_its_bar_asks_for(bar: Bar, tmp_path: Path) -> None:
    trial = try_seed(hurried(bar), 101, cache=tmp_path, picture=tmp_path / "picture.png")

    rows = {"real": trial.real, **trial.baselines}
    assert all(trial.figures[name] is not None for name in [*(rule.metric for rule in bar.rules), *bar.shown])
    assert all(rows[rule.beside][rule.metric] is not None for rule in bar.rules if rule.beside is not None)
    assert (tmp_path / "picture.png").exists() == (bar.dataset != "iris")


def test_trials_run_in_processes_of_their_own_and_one_that_fails_ends_no_other(tmp_path: Path) -> None:
    closed_forms = next(bar for bar in BARS if bar.id == "B8")
    nowhere = replace(closed_forms, id="B0")

    ended = {
        task.bar.id: trial
        for task, trial in carry_out_all([Task(nowhere, 101), Task(closed_forms, 101)], tmp_path, jobs=1)
    }

    trial = ended["B8"]
    assert ended["B0"] is None
    assert trial is not None
    assert all(rule.holds(trial.figures[rule.metric]) for rule in closed_forms.rules)
    assert not is_done(Task(closed_forms, 101), [trial])  # it takes no time


def test_what_is_recorded_by_todays_recipe_is_done(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    add_trial(a_trial(RING, 101, {"modes": 7.0}), record)
    add_trial(a_trial(RING, 102, {"modes": 8.0}), record)
    add_trial(a_trial(RING, 101, GOOD), record)
    older = replace(a_trial(RING, 103, GOOD), recipe=recipe_of(hurried(RING)))
    add_trial(older, record)

    trials = read_trials(record)

    assert [trial.metrics for trial in trials] == [GOOD, {"modes": 8.0}, GOOD]
    assert [task.seed for task in tasks_of(RING, None) if not is_done(task, trials)] == list(range(103, 111))
    assert len(tasks_of(RING, 2)) == 2


def test_trials_with_seeds_that_no_bar_asks_for_are_dropped(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    add_trial(a_trial(RING, 1, GOOD), record)

    trials = add_trial(a_trial(RING, 101, GOOD), record)

    assert [trial.seed for trial in trials] == [101]


def test_other_mathematics_make_another_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_of(hurried(RING))
    first_rows.cache_clear()
    monkeypatch.setattr(players, "CODE_HEIGHT", 1.01 * players.CODE_HEIGHT)

    assert recipe_of(hurried(RING)) != before

    monkeypatch.undo()
    first_rows.cache_clear()
    assert recipe_of(hurried(RING)) == before


def test_samples_of_several_draws_are_learnt_from(tmp_path: Path) -> None:
    spec = spec_of(hurried(IRIS), 101)
    data, yardstick = opened(spec, tmp_path)
    training = Training(spec, data, device=CPU, dtype=torch.float32)

    scores = [tstr_of(training, yardstick, draw) for draw in range(TSTR_DRAWS)]

    assert len(set(scores)) > 1
    assert scores[0] == measure_training(training, yardstick, thoroughly=False)["tstr"]
    assert mean_tstr(training, yardstick) == pytest.approx(np.mean([score for score in scores if score is not None]))


def test_what_stands_beside_is_compared_seed_by_seed() -> None:
    rows = [(0.9, 0.8), (0.8, 0.9), (0.95, 0.85)]  # better by 0.1, worse by 0.1, better by 0.1
    trials = [
        replace(a_trial(IRIS, seed, {"tstr": ours}), baselines={"copula": {"tstr": copula}})
        for seed, (ours, copula) in enumerate(rows, 101)
    ]

    assert "| tstr >= copula -0.03 | 0.9 (copula 0.85, difference 0.1) | met |" in tables(trials, {})


def test_the_page_tells_medians_and_whether_they_clear_the_bar() -> None:
    narrow = GOOD | {"width": 0.5}

    page = tables([a_trial(RING, seed, metrics) for seed, metrics in enumerate([GOOD, narrow, narrow], 101)], {})

    assert "| B1 | ring | 3 of 10 | 4 of 5 | width | 20 |" in page
    assert "| modes >= 8 | 8 | met |" in page
    assert "| width >= 0.8 and <= 1.25 | 0.5 | missed |" in page
    assert "| seconds <= 30 | 20 | met |" in page
    assert "| seed 102 | 8 | 0.97 | 0.001 | 0.5 | 20 | 19 |" in page
    assert "| *gaussian* | 1 | - |" in page
    assert OUTDATED not in page


def test_nothing_is_judged_by_the_seeds_that_could_be_measured_alone() -> None:
    diverged = GOOD | {"modes": None}

    page = tables([a_trial(RING, 101, GOOD), a_trial(RING, 102, GOOD), a_trial(RING, 103, diverged)], {})

    assert "| modes >= 8 | 8 | - |" in page
    assert "| B1 | ring | 3 of 10 | 4 of 5 |" in page


def test_a_rival_that_was_never_trained_is_absent_and_nothing_is_judged_by_it() -> None:
    figures: dict[str, float | None] = {"pairs": 0.96, "shapes": 0.98, "detection_auc": 0.6}
    ours = a_trial(OF_SURVEY, 101, figures, cpu_s=50.0)
    theirs = a_trial(OF_SURVEY, 101, dict.fromkeys(figures, 0.9), by="ctgan", cpu_s=501.0)

    alone, beside = tables([ours], {}), tables([ours, theirs], {})

    assert "| pairs >= ctgan | 0.96 (ctgan -, difference -) | - |" in alone
    assert "| *ctgan* | absent |" in alone
    assert "| pairs >= ctgan | 0.96 (ctgan 0.9, difference 0.06) | met |" in beside
    assert "| cpu_seconds <= 0.1 ctgan | 50 (ctgan 501) | met |" in beside


def test_what_was_written_by_hand_stays_when_the_page_is_written_anew() -> None:
    of_survey = a_trial(OF_SURVEY, 101, {"pairs": 0.96}, cpu_s=50.0)
    page = rewritten("above\n<!-- bars: begin -->\n<!-- bars: end -->\nbelow\n", [a_trial(RING, 101, GOOD), of_survey])
    reasons = {"B1, ring": "Narrow, because.\n\nTried.\n", "B9, survey": "Wide.\n"}
    for bar, reason in reasons.items():
        page = page.replace(f"<!-- {bar}: by hand -->\n", f"<!-- {bar}: by hand -->\n{reason}")

    again = rewritten(page, [a_trial(RING, 101, GOOD), a_trial(RING, 102, GOOD), of_survey])

    for bar, reason in reasons.items():
        assert f"<!-- {bar}: by hand -->\n{reason}<!-- end -->" in again
    assert "| seed 102 |" in again
    assert again.startswith("above\n")
    assert again.endswith("below\n")


def test_the_page_is_that_of_the_record() -> None:
    page = PAGE.read_text()

    written = rewritten(page, read_trials())

    assert [line for line in written.split("\n\n") if line != OUTDATED] == [
        line for line in page.split("\n\n") if line != OUTDATED
    ]


def test_rows_with_gaps_go_to_the_rival_and_come_back_as_they_were(tmp_path: Path) -> None:
    rows = OPENERS["survey"](SURVEY, None).values[:200]
    written = list(without_gaps(SURVEY.table, rows))

    write_file(tmp_path / "rows.csv", written)
    table = np.loadtxt(tmp_path / "rows.csv", delimiter=",", skiprows=1)

    assert not np.isnan(table).any()
    assert [column.name for column in written if column.is_discrete] == [
        "region", "schooling", "contract", "commute_km is missing", "joined is missing", "owns_home",
    ]  # fmt: skip
    assert np.array_equal(with_gaps(SURVEY.table, table), rows, equal_nan=True)


@pytest.mark.skipif(not is_installed(), reason="ctgan is installed by `make quality`")
def test_the_rival_makes_rows_of_the_same_columns() -> None:
    rows = OPENERS["survey"](SURVEY, None).values[:600]

    made = train_ctgan(HOME / "bin" / "python", SURVEY.table, rows, count=50, seed=1, epochs=1)

    assert made.rows.shape == (50, 11)
    assert made.seconds > 0
    assert all(np.isin(made.rows[:, 1], np.arange(8)))
    assert np.nanmin(made.rows[:, 0]) >= 18

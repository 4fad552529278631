"""The bars of speed: that both sides train the same, that rounds take turns, what is told of a row and what is kept."""

import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.speed import across, histories, running
from benchmarks.speed.bars import BARS
from benchmarks.speed.baseline import NETWORKS, Baseline
from benchmarks.speed.figures import Effort, Figure, PeerAbsent, interleave, ratio
from benchmarks.speed.models import data_of, spec_of
from benchmarks.speed.page import line_of, rewritten
from benchmarks.speed.places import PAGE
from benchmarks.speed.record import Row, add_row, read_rows
from benchmarks.speed.rows import carried_out, measure_of
from benchmarks.speed.turns import TurnTaker
from service.db import make_engine, reading
from service.store import history
from worker.gan.networks.registry import make_networks

PAGE_BEFORE = "Written by hand.\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nAlso by hand.\n"


def a_row(id: str, *values: float, trouble: str = "", is_absent: bool = False) -> Row:
    bar = next(bar for bar in BARS if bar.id == id)
    figures = {
        rule.name: Figure(value, value - 0.1, value + 0.1, 15) for rule, value in zip(bar.rules, values, strict=False)
    }
    return Row(id, bar.what, figures, trouble, 10.0, "a machine", is_absent=is_absent)


def sizes(network: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(parameter.shape) for parameter in network.parameters())


@pytest.mark.parametrize("model", NETWORKS)
def test_the_baseline_trains_the_networks_of_the_service_on_batches_of_its_size(model: str) -> None:
    spec, networks = spec_of(model, "fused"), NETWORKS[model]()

    generator, discriminator = make_networks(spec.model, data_of(model), torch.Generator())

    assert sizes(networks.generator) == sizes(generator)
    assert sizes(networks.discriminator) == sizes(discriminator)
    assert networks.batch_size == spec.loop.batch_size
    assert networks.shape == data_of(model).facts.shape


def test_the_baseline_moves_both_players_and_prints_a_line_for_each_step() -> None:
    networks, printed = NETWORKS["ring64"](), StringIO()
    players = (networks.generator, networks.discriminator)
    before = [[weight.clone() for weight in player.parameters()] for player in players]
    baseline = Baseline(networks, torch.randn(200, 2), out=printed)

    for _ in range(5):
        baseline.step()

    assert [line.split(" Loss_D")[0] for line in printed.getvalue().splitlines()] == [
        "[0][0/3]", "[0][1/3]", "[0][2/3]", "[1][0/3]", "[1][1/3]"
    ]  # fmt: skip
    for player, weights in zip(players, before, strict=True):
        assert not any(torch.equal(now, then) for now, then in zip(player.parameters(), weights, strict=True))


def test_rounds_take_turns_and_every_other_one_is_reversed() -> None:
    calls: list[tuple[str, int]] = []

    def takes(name: str, step_s: float) -> float:
        calls.append((name, int(step_s)))
        return step_s

    taken = interleave(
        {"slow": lambda steps: takes("slow", 0.2 * steps), "fast": lambda steps: takes("fast", 0.1 * steps)},
        Effort(rounds=3, block_s=1.0),
    )

    assert [name for name, _ in calls[4:]] == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert taken["slow"] == pytest.approx([0.2] * 3)
    assert ratio(taken["slow"], taken["fast"]).value == pytest.approx(2)


def test_a_figure_is_the_median_of_the_rounds_ratios_between_their_quartiles() -> None:
    figure = ratio([1, 2, 3, 4, 100], [1, 1, 1, 1, 1])

    assert figure == Figure(3, 2, 4, rounds=5)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (a_row("P1", 2.6), "met"),
        (a_row("P1", 2.4), "missed"),
        (a_row("P6", 2.7, 3.1), "missed"),
        (a_row("P6", 2.7, 3.3), "met"),
        (a_row("E1", 1.02), "missed"),
        (a_row("P4", trouble="`make peers` has not installed it", is_absent=True), "absent"),
        (a_row("P4", trouble="failed with exit code 1"), "missed"),
    ],
)
def test_a_line_begins_with_the_id_and_ends_with_the_verdict(row: Row, verdict: str) -> None:
    line = line_of(row)

    assert line.split()[0] == row.id
    assert line.split()[-1] == verdict
    assert row.trouble in line
    assert "\n" not in line


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.id)
def test_every_bar_is_measured_by_something(bar: object) -> None:
    assert callable(measure_of(bar.id))  # type: ignore[attr-defined]


def test_a_row_that_crashes_or_hangs_says_so_and_ends_no_other() -> None:
    crashes, hangs = "raise SystemExit(3)", "import time; time.sleep(60)"

    assert carried_out([sys.executable, "-c", crashes], minutes=1) == {"failed": "failed with exit code 3"}
    assert "not done" in carried_out([sys.executable, "-c", hangs], minutes=0.005)["failed"]


def test_a_row_whose_peer_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(running, "PEERS", tmp_path)

    with pytest.raises(PeerAbsent, match="make peers"):
        across.against_lightning(Effort(1, 0.1))


def test_a_row_takes_the_place_of_its_older_one(tmp_path: Path) -> None:
    record = tmp_path / "performance.json"
    old, other, new = a_row("P2", 3.5), a_row("P1", 2.1), a_row("P2", 3.1)
    precise = replace(new, figures={"": Figure(3.1000004, 3.0, 3.2, 15)})

    for row in (old, other, precise):
        rows = add_row(row, record)

    assert rows == read_rows(record) == [other, new]


def test_a_row_that_cannot_be_measured_here_leaves_what_was_measured_elsewhere(tmp_path: Path) -> None:
    record = tmp_path / "performance.json"
    absent = a_row("G1", trouble="no GPU here", is_absent=True)

    assert add_row(absent, record) == [absent]
    measured = add_row(a_row("G1", 24.8, 19.0), record)
    assert add_row(absent, record) == measured


def test_a_row_of_before_its_bar_asked_for_more_is_measured_anew(tmp_path: Path) -> None:
    record = tmp_path / "performance.json"
    add_row(a_row("S3", 55.0, 1.0), record)

    assert read_rows(record) == []


def test_the_page_shows_the_rows_and_keeps_what_was_written_by_hand() -> None:
    page = rewritten(PAGE_BEFORE, [a_row("P1", 2.6), replace(a_row("P2", 2.9), machine="another")])

    assert page.startswith("Written by hand.\n")
    assert page.endswith("Also by hand.\n")
    assert "old" not in page
    assert "- another: P2." in page
    assert "| 2.60x | 2.50 to 2.70x | >= 2.5x | met |" in page
    assert rewritten(page, [a_row("P1", 2.6), replace(a_row("P2", 2.9), machine="another")]) == page


def test_the_page_is_that_of_the_record() -> None:
    page = PAGE.read_text()

    assert rewritten(page, read_rows()) == page, "run `python -m benchmarks.speed --page`"


def test_a_process_takes_as_many_steps_as_it_is_told() -> None:
    program = (
        "import time; from benchmarks.speed.turns import Turns; turns = Turns(); print('not an answer')\n"
        "while True: turns.before_step(); time.sleep(0.02)"
    )

    with TurnTaker([sys.executable, "-c", program]) as process:
        few, many = process(1), process(10)

    assert few >= 0.02
    assert many >= 0.2


def test_a_made_up_history_has_every_step_once() -> None:
    rows = histories.made_up_rows(5_000)

    with histories.ours() as installation:
        job = installation.add_job(rows)
        engine = make_engine(installation.settings.database)
        with reading(engine) as session:
            block = history.read_rows(session, job, columns=histories.COLUMNS, first=1, last=10_000)
        engine.dispose()

    assert block.first_step == 1
    assert np.array_equal(block.values.T, rows)

"""Sweeps from the client and the console script, against an application that is served in this process."""

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from structlog.testing import capture_logs

from ganymede.cli import main
from ganymede.client import Client, GanymedeProblem
from ganymede.exit_codes import ExitCode
from ganymede.search_arguments import read_search
from service.db import writing
from service.models import State
from service.store import transitions
from service.store.quality import add_quality
from tests.building import claim_next
from tests.conversation import make_client, serving

RATE = "optimizer.generator.lr"
RING = ["dataset=ring", "loop.max_steps=100"]


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    """The address of an application on the database."""
    with (
        capture_logs(),
        serving(make_client(engine).application) as address,
    ):  # they would stand in what the commands print
        yield address


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--url", url, "sweep", *arguments])


def finish_one(engine: Engine, coverage: float) -> str:
    """Let the next member succeed with a measured coverage; return its id."""
    with writing(engine) as session:
        job = claim_next(session)
        add_quality(session, job, step=50, metrics={"coverage": coverage}, metric="coverage", merit=coverage)
        transitions.finish(session, job.id, job.attempt, State.SUCCEEDED, reason="max_steps")
        return job.id


def test_a_grid_is_created_watched_ranked_and_deleted(engine: Engine, url: str) -> None:
    made = run(url, "create", *RING, "--over", f"{RATE}=1e-4,2e-4", "--name", "rates").output.strip()
    worse, better = finish_one(engine, 0.25), finish_one(engine, 0.75)

    waited = run(url, "show", made, "--wait")
    upside_down = json.loads(run(url, "show", made, "--goal", "lower", "--json").output)
    listed = json.loads(run(url, "list", "--json").output)

    assert waited.exit_code == ExitCode.SUCCESS
    first, header, *rows = waited.output.splitlines()
    assert first == f"{made} ended: 2 succeeded; best is {better}"
    assert header.split() == ["RANK", "JOB", "STATUS", "STEP", "COVERAGE", "AT", "STEP", RATE]
    assert [row.split()[:2] for row in rows] == [["1", better], ["2", worse]]
    assert upside_down["leaderboard"]["best"] == worse
    assert [(each["id"], each["name"]) for each in listed] == [(made, "rates")]
    assert json.loads(run(url, "delete", made, "--keep-members", "--json").output) == {"deleted": [made]}
    with Client(url) as client:
        assert {job.id for job in client.jobs.list()} == {worse, better}


def test_drawn_members_are_created_and_cancelled(url: str) -> None:
    over = ["--over", f"{RATE}=1e-5..1e-2:log", "--over", "objective.loss=saturating,hinge"]

    made = json.loads(
        run(url, "create", *RING, *over, "--asha", "4", "--min-steps", "10", "--seed", "3", "--json").output
    )
    cancelled = run(url, "cancel", made["id"])
    waited = run(url, "show", made["id"], "--wait")

    assert (made["method"], made["members"]["total"], made["search"]["seed"]) == ("asha", 4, 3)
    assert cancelled.output.startswith(f"{made['id']} ended: 4 cancelled; best is nobody yet")
    assert waited.exit_code == ExitCode.FAILED


def test_what_is_refused_is_told_by_parameter(url: str) -> None:
    refused = run(url, "create", *RING, "--over", f"{RATE}=1e-4,-1")
    contradictory = run(url, "create", *RING, "--over", f"{RATE}=1..2", "--random", "2", "--asha", "3")

    assert refused.exit_code == ExitCode.REFUSED
    assert f"/grid/{RATE}/1" in refused.output
    assert contradictory.exit_code == ExitCode.REFUSED


def test_the_client_raises_what_the_service_refuses_and_waits_no_longer_than_it_may(url: str) -> None:
    with Client(url) as client:
        made = client.sweeps.create({"dataset": "ring"}, grid={"seed": [1]})

        with pytest.raises(GanymedeProblem) as refused:
            made.delete()
        with pytest.raises(TimeoutError):
            made.wait(timeout_s=0)

    assert refused.value.code == "sweep_is_live"


@pytest.mark.parametrize(
    ("argument", "drawn", "expected"),
    [
        ("a.b=1,2.5,word", False, [1, 2.5, "word"]),
        ("a.b=[[0, 0.9], [0.5, 0.999]]", False, [[0, 0.9], [0.5, 0.999]]),
        ("a.b=x,y", True, {"choices": ["x", "y"]}),
        ("a.b=1e-5..1e-2:log", True, {"low": 1e-5, "high": 1e-2, "log": True}),
        ("a.b=8..64:8", True, {"low": 8, "high": 64, "step": 8}),
        ("a.b=-1..1.5", True, {"low": -1, "high": 1.5}),
    ],
)
def test_values_are_read_as_they_are_written(argument: str, drawn: bool, expected: Any) -> None:
    assert read_search([argument], draws=drawn) == {"a.b": expected}


@pytest.mark.parametrize("argument", ["a.b", "=1", "a.b=", "a.b=1..2", "a.b=[1"])
def test_what_says_no_values_is_refused(argument: str) -> None:
    with pytest.raises(click.BadParameter):
        read_search([argument], draws=False)

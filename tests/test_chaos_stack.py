"""What chaos breaks: processes that cannot outlive it, a PostgreSQL that keeps its word, a stack that ends with it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chaos.leash import start
from chaos.postgres import Postgres
from chaos.processes import living_in, wait_until
from chaos.scenarios import REGISTRY
from chaos.scenarios.findings import Findings
from chaos.stack import SCALED, Stack


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that runs."""
    postgres = Postgres(tmp_path_factory.mktemp("postgres"))
    postgres.start()
    yield postgres
    postgres.stop()


def test_what_is_on_the_leash_dies_with_who_started_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib; from chaos.leash import start; here = pathlib.Path.cwd();"
        "start(['/bin/sleep', '600'], {}, output=here / 'log', directory=here); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parent.parent

    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(root)}, check=False)

    wait_until(lambda: not living_in(tmp_path), "the child is gone", within_s=5)


def test_a_part_is_started_with_its_own_environment_directory_and_output(tmp_path: Path) -> None:
    part = start(["/bin/sh", "-c", "echo $WORD; pwd"], {"WORD": "hello"}, output=tmp_path / "log", directory=tmp_path)

    assert part.wait(5) == 0
    assert (tmp_path / "log").read_text().split() == ["hello", str(tmp_path)]


def test_a_killed_server_has_lost_nothing_that_it_confirmed(postgres: Postgres) -> None:
    url = postgres.create_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE facts (number INTEGER)")
        connection.execute("INSERT INTO facts SELECT generate_series(1, 1000)")

    postgres.kill()
    is_away = not postgres.answers()
    postgres.start()

    assert is_away
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT COUNT(*) FROM facts").fetchone() == (1000,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_frozen_server_answers_nobody_until_it_is_thawed(postgres: Postgres) -> None:
    postgres.freeze()
    answered_frozen = postgres.answers()
    postgres.thaw()

    assert not answered_frozen
    wait_until(postgres.answers, "the server answers again", within_s=10)


def test_a_stack_works_survives_deaths_and_leaves_nobody_behind(tmp_path: Path) -> None:
    spec = {"dataset": "ring", "loop": {"batch_size": 4, "max_steps": 20}}
    with Stack(tmp_path, database="postgresql", workers=1, slots=1, settings=SCALED) as stack:
        for name in stack.parts:
            stack.kill(name)
        restarted = stack.restart_dead()
        stack.wait_until_ready()
        job = stack.client.jobs.create(**spec).wait(60)
        stack.freeze("worker-0")

        killed = stack.close()

    assert restarted == ["broker", "web", "worker-0"]
    assert job.status == "succeeded"
    assert killed == []
    assert living_in(tmp_path) == []


def test_findings_keep_the_worst_figure_and_count_what_exceeds_its_bound() -> None:
    findings = Findings("example", "sqlite")

    for seconds in (1.0, 3.0, 2.0):
        findings.measure("seconds", seconds, at_most=2.5)
    findings.expect(holds=True, otherwise="never said")

    assert findings.figures == {"seconds": 3.0}
    assert findings.violations == ["seconds: 3.000, where at most 2.5 is promised"]


def test_every_scenario_is_registered_under_its_module() -> None:
    assert {name: run.__module__ for name, run in REGISTRY.items()} == {
        name: f"chaos.scenarios.{name}" for name in REGISTRY
    }

"""A process killed at any named place: the job still ends as if nothing had happened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganymede.client import Client
from service.blobs import make_blobs
from service.crashpoints import CRASH_POINTS
from tests.house import SMALL_JOB, House, a_house, wait_until
from tests.serving import running_service

_ROOT = Path(__file__).parent.parent
_CALL = re.compile(r"crash_point\((\".*)\)")
STEPS = 500
JOB = {"loop": {"max_steps": STEPS}, "checkpoints": {"every_steps": 50, "keep_last": 2}}
OF_TRAINERS = ("flush.before", "flush.committed", "save.written", "save.renamed", "save.stored")


class Mine:
    """A house in which places can be armed."""

    def __init__(self, house: House, points: Path) -> None:
        self.house, self._points = house, points

    def arm(self, *names: str) -> None:
        for name in names:
            (self._points / name).touch()

    def wait_for_crash(self, name: str) -> None:
        wait_until(lambda: not (self._points / name).exists(), f"a crash at {name}")

    def replace_worker(self) -> None:
        """Wait for the worker's death and start another."""
        self.house.workers[-1].wait(10)
        self.house.start_worker()


@pytest.fixture(scope="module")
def shared_mine(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    points = tmp_path_factory.mktemp("points")
    with (
        pytest.MonkeyPatch.context() as environment,
        a_house(tmp_path_factory.mktemp("house"), module_database_url) as house,
    ):
        environment.setenv("GANYMEDE_CRASH_POINTS", str(points))
        yield Mine(house, points)


@pytest.fixture
def mine(shared_mine: Mine) -> Mine:
    """A mine with a worker, whatever the test before has done to its own."""
    shared_mine.house.ensure_worker()
    return shared_mine


@pytest.fixture(scope="module")
def unbroken(shared_mine: Mine) -> str:
    """A job that nothing disturbs."""
    shared_mine.house.ensure_worker()
    job_id = shared_mine.house.submit(**JOB)
    assert shared_mine.house.wait_for_end(job_id).status == "succeeded"
    return job_id


def assert_ends_as_unbroken(house: House, job_id: str, unbroken: str, *, at_most: int) -> None:
    """Every step stands once with the bits it has without a crash, and nothing is left behind."""
    job = house.wait_for_end(job_id)
    first, rows = house.losses(job_id)
    assert job.status == "succeeded"
    assert job.losses_in_all <= at_most
    assert (first, len(rows)) == (1, STEPS)
    assert rows.tobytes() == house.losses(unbroken)[1].tobytes()
    assert house.generator_sha256(job_id) == house.generator_sha256(unbroken)
    wait_until(
        lambda: set(make_blobs(house.settings.blobs).list()) == house.shown_keys(), "no blob without a row remains"
    )


def test_every_named_point_is_a_place_in_the_code_and_every_place_has_a_name() -> None:
    sources = [path.read_text() for part in ("service", "worker") for path in (_ROOT / part).rglob("*.py")]

    called = {name for source in sources for call in _CALL.findall(source) for name in re.findall(r'"(.+?)"', call)}

    assert called == set(CRASH_POINTS)


@pytest.mark.parametrize("point", OF_TRAINERS)
def test_a_trainer_that_dies_while_it_writes_is_replaced_exactly(mine: Mine, unbroken: str, point: str) -> None:
    job_id = mine.house.submit(**JOB)
    mine.house.wait_for_step(job_id, 1)

    mine.arm(point)
    mine.wait_for_crash(point)

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=1)


@pytest.mark.parametrize(("point", "losses"), [("end.before", 1), ("end.committed", 0)])
def test_a_trainer_that_dies_at_its_end_is_charged_only_for_what_was_not_committed(
    mine: Mine, unbroken: str, point: str, losses: int
) -> None:
    mine.arm(point)

    job_id = mine.house.submit(**JOB)
    mine.wait_for_crash(point)

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=losses)


def test_a_trainer_that_dies_when_it_has_just_restored_is_replaced_exactly(mine: Mine, unbroken: str) -> None:
    job_id = mine.house.submit(**JOB)
    wait_until(lambda: "checkpoint" in mine.house.event_types(job_id), "a checkpoint is shown")

    mine.arm("restore.done", "flush.committed")
    mine.wait_for_crash("restore.done")

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=2)


@pytest.mark.parametrize(
    ("point", "losses"),
    [("publish.before", 1), ("publish.after", 1), ("claim.before", 0), ("claim.committed", 1)],
)
def test_a_worker_that_dies_at_a_claim_leaves_the_job_to_another(
    mine: Mine, unbroken: str, point: str, losses: int
) -> None:
    mine.arm(point)

    job_id = mine.house.submit(**JOB)
    mine.replace_worker()

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=losses)


def test_a_worker_that_dies_after_it_has_recorded_a_loss_has_it_counted_once(mine: Mine, unbroken: str) -> None:
    job_id = mine.house.submit(**JOB)
    wait_until(lambda: "checkpoint" in mine.house.event_types(job_id), "a checkpoint is shown")

    mine.arm("loss.committed", "save.stored")
    mine.replace_worker()

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=1)


def test_a_worker_that_dies_while_it_removes_blobs_has_them_removed_by_another(mine: Mine, unbroken: str) -> None:
    mine.arm("deletion.between")

    job_id = mine.house.submit(**JOB)
    mine.replace_worker()

    assert_ends_as_unbroken(mine.house, job_id, unbroken, at_most=1)
    wait_until(lambda: mine.house.doomed_keys() == [], "no mark of a removed blob remains")


def test_a_job_stored_by_a_web_process_that_died_before_it_answered_is_the_repeated_requests(tmp_path: Path) -> None:
    (tmp_path / "submit.committed").touch()
    with (
        running_service(tmp_path / "home", GANYMEDE_CRASH_POINTS=str(tmp_path)) as service,
        Client(service.url, patience_s=180) as client,
    ):
        assert client.is_ready()

        job = client.jobs.create(**SMALL_JOB)

        assert not (tmp_path / "submit.committed").exists()
        assert [stored.id for stored in client.jobs.list()] == [job.id]
        assert job.wait(timeout_s=180).data["attempt"] == 1

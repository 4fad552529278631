"""Rows S1 to S4: the history of losses against MLflow's server, both on SQLite, both read over HTTP."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import numpy as np

from benchmarks.speed.figures import Effort, Figure, Runner, interleave, ratio, timed, took_s
from benchmarks.speed.models import spec_of
from benchmarks.speed.running import Wire, a_service, an_mlflow, peer_python
from service.db import make_engine, migrate, writing
from service.history.segments import SEGMENT_STEPS
from service.models import State
from service.settings import Settings
from service.store import history
from service.store.jobs import create_job
from service.store.keys import LOCAL_OWNER

COLUMNS = (
    "value", "d_loss_real", "d_loss_fake", "d_loss", "g_loss", "total_loss", "g_grad_norm", "d_grad_norm"
)  # fmt: skip
MOST, MANY, FEW, THEIRS = 10_000_000, 1_000_000, 10_000, 12_500  # steps
POINTS = 100_000  # that are read
THINNED = 2_000
INCREMENT = 100
MOST_IN_REQUEST = 1_000  # of MLflow's log-batch


@dataclass(frozen=True)
class Ours:
    """An installation on SQLite without processes: its history is written as flushes do."""

    home: Path

    @property
    def settings(self) -> Settings:
        """The settings of a service that runs on it."""
        return Settings(_env_file=None, home=self.home)

    @property
    def size_bytes(self) -> int:
        """The size of the database's files."""
        return sum(file.stat().st_size for file in self.home.glob("ganymede.db*"))

    def add_job(self, rows: np.ndarray) -> str:
        """Store a job that has ended, with a history of rows (N, 8); return its id."""
        engine = make_engine(self.settings.database)
        with writing(engine) as session:
            job = create_job(session, owner_id=LOCAL_OWNER, spec={}, resolved=spec_of("ring", "fused"))
            job.state = State.SUCCEEDED
        for first in range(0, len(rows), SEGMENT_STEPS):
            part = rows[first : first + SEGMENT_STEPS]
            with writing(engine) as session:
                history.append_rows(session, job.id, attempt=1, first_step=first + 1, columns=COLUMNS, rows=part)
        engine.dispose()
        return job.id


@dataclass(frozen=True)
class Theirs:
    """A run of an MLflow server."""

    wire: Wire
    run: str

    @classmethod
    def of(cls, port: int) -> "Theirs":
        """Begin a run."""
        wire = Wire(port)
        body = json.dumps({"experiment_id": "0", "start_time": 1}).encode()
        run = json.loads(wire.post("/api/2.0/mlflow/runs/create", body))["run"]["info"]["run_id"]
        return cls(wire, run)

    def log(self, columns: Sequence[str], rows: np.ndarray, first_step: int = 1) -> None:
        """Store rows (N, columns), in as many requests as it takes."""
        metrics = [
            {"key": column, "value": value, "timestamp": 1_000 + step, "step": step}
            for step, row in enumerate(rows.tolist(), first_step)
            for column, value in zip(columns, row, strict=True)
        ]
        for first in range(0, len(metrics), MOST_IN_REQUEST):
            body = {"run_id": self.run, "metrics": metrics[first : first + MOST_IN_REQUEST]}
            self.wire.post("/api/2.0/mlflow/runs/log-batch", json.dumps(body).encode())

    def read(self, column: str) -> bytes:
        """Return all points of a column."""
        query = urlencode({"run_id": self.run, "metric_key": column})
        return self.wire.get(f"/api/2.0/mlflow/metrics/get-history?{query}")

    def read_thinned(self, column: str) -> bytes:
        """Return points of a column at intervals."""
        query = urlencode({"run_ids": self.run, "metric_key": column, "max_results": THINNED})
        return self.wire.get(f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}")


def made_up_rows(steps: int) -> np.ndarray:
    """Return losses (steps, 8) float32 as noisy as those of a training."""
    random = np.random.Generator(np.random.PCG64(0))
    return (1.4 + 0.1 * random.standard_normal((steps, len(COLUMNS)))).astype(np.float32)


@contextmanager
def ours() -> Iterator[Ours]:
    """Yield an empty installation."""
    with TemporaryDirectory(prefix="ganymede-history-") as directory:
        installation = Ours(Path(directory))
        migrate(installation.settings.database)
        yield installation


@contextmanager
def theirs() -> Iterator[tuple[Theirs, Path]]:
    """Yield a run, and the file that it is stored in; raises PeerAbsent."""
    peer_python()
    with TemporaryDirectory(prefix="ganymede-mlflow-") as directory, an_mlflow(Path(directory)) as port:
        yield Theirs.of(port), Path(directory, "mlflow.db")


def writing_points(effort: Effort) -> dict[str, Figure]:
    """S1."""
    with ours() as installation, theirs() as (run, _):
        many, few = made_up_rows(64 * SEGMENT_STEPS), made_up_rows(1_250)
        starts = count(1, len(few))
        ratios = []
        for _ in range(effort.rounds):
            their_s = took_s(lambda: run.log(COLUMNS, few, next(starts))) / len(few)
            ratios.append(their_s / (took_s(lambda: installation.add_job(many)) / len(many)))
    return {"": Figure.of(ratios)}


def reading_points(effort: Effort) -> dict[str, Figure]:
    """S2."""
    with ours() as installation, theirs() as (run, _):
        job = installation.add_job(made_up_rows(POINTS))
        run.log(COLUMNS[:1], made_up_rows(POINTS)[:, :1])
        _require_points(run.read(COLUMNS[0]), "metrics", POINTS)
        with a_service(installation.home) as client:
            wire = Wire(port_of(client.url))
            whole = f"/jobs/{job}/losses?columns={COLUMNS[0]}"
            taken = in_turns(lambda: run.read(COLUMNS[0]), lambda: wire.get(whole), effort, repeats=20)
    return {"": taken}


def looking_over(effort: Effort) -> dict[str, Figure]:
    """S3."""
    with ours() as installation, theirs() as (run, _):
        many, few = installation.add_job(made_up_rows(MANY)), installation.add_job(made_up_rows(FEW))
        most = installation.add_job(np.tile(made_up_rows(MANY), (MOST // MANY, 1)))
        run.log(COLUMNS, made_up_rows(THEIRS))
        with a_service(installation.home) as client:
            wire = Wire(port_of(client.url))
            columns = ",".join(COLUMNS)
            thinned = {job: f"/jobs/{job}/losses?columns={columns}&max_points={THINNED}" for job in (many, most)}
            overview = in_turns(
                lambda: [run.read_thinned(column) for column in COLUMNS],
                lambda: wire.get(thinned[many]),
                effort,
                repeats=20,
            )
            overviews = interleave({job: timed(partial(wire.get, url)) for job, url in thinned.items()}, effort)
            asked = {
                name: f"/jobs/{job}/losses?columns={columns}&after_step={steps - INCREMENT}"
                for name, job, steps in (("many", many, MANY), ("few", few, FEW))
            }
            taken = interleave(
                {"many": timed(lambda: wire.get(asked["many"])), "few": timed(lambda: wire.get(asked["few"]))}, effort
            )
    return {
        "overview": overview,
        "increment": ratio(taken["many"], taken["few"]),
        "overview of ten times as many": ratio(overviews[most], overviews[many]),
    }


def storing(_: Effort) -> dict[str, Figure]:
    """S4."""
    with ours() as installation, theirs() as (run, file):
        empty, empty_of_theirs = installation.size_bytes, file.stat().st_size
        installation.add_job(made_up_rows(MANY))
        run.log(COLUMNS, made_up_rows(THEIRS))
        a_step = (installation.size_bytes - empty) / MANY
        a_step_of_theirs = (file.stat().st_size - empty_of_theirs) / THEIRS
    return {"": Figure.of([a_step_of_theirs / a_step])}


def in_turns(slow: Callable[[], object], fast: Callable[[], object], effort: Effort, *, repeats: int) -> Figure:
    """Return how many times faster the fast one is, which is repeated in each round."""
    slow()
    fast()
    runner: Runner = timed(fast)
    ratios = [took_s(slow) / (runner(repeats) / repeats) for _ in range(-(-effort.rounds // 2))]  # seconds each
    return Figure.of(ratios)


def port_of(url: str) -> int:
    """Return the port of an address."""
    return int(url.rpartition(":")[2])


def _require_points(body: bytes, key: str, wanted: int) -> None:
    found = len(json.loads(body)[key])
    if found != wanted:
        raise ValueError(f"the answer has {found} points, not {wanted}")

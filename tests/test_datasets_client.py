"""Data sets from the client and the console script, against an application that is served in this process."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from structlog.testing import capture_logs

from ganymede.cli import main
from ganymede.client import Client, GanymedeProblem
from ganymede.exit_codes import ExitCode
from service.blobs import BlobStore, read_verified, store_file
from service.db import reading, writing
from service.models import Dataset
from service.spec.datasets import DATASETS
from service.store import preparation
from tests.building import QUOTA_BYTES, claim_dataset
from tests.conversation import make_client, serving
from tests.house import wait_until


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    return sqlite_engine


@pytest.fixture
def url(engine: Engine, blobs: BlobStore) -> Iterator[str]:
    """The address of an application on the database."""
    app = make_client(engine, blobs=blobs, dataset_max_bytes=2**21).application
    with capture_logs(), serving(app) as address:  # they would stand in what the commands print
        yield address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


def run(url: str, *arguments: str | Path) -> Result:
    """Run a command against the service."""
    return CliRunner().invoke(main, ["--url", url, "datasets", *map(str, arguments)])


def prepare(engine: Engine, blobs: BlobStore) -> None:
    """Make the next data set ready, as a worker would."""
    with writing(engine) as session:
        dataset = claim_dataset(session)
        names = {"rows": "rows.npy", "preview": "preview.csv"}
        files = {
            kind: store_file(blobs, job_id=dataset.id, attempt=1, name=name, pieces=[kind.encode()])
            for kind, name in names.items()
        }
        warnings = [{"code": "constant_column", "message": "Column c never changes."}]
        facts = DATASETS["iris"].facts(None)
        finish = preparation.finish_preparation
        finish(
            session, dataset.id, dataset.attempt, facts=facts, warnings=warnings, files=files, quota_bytes=QUOTA_BYTES
        )


def fail(engine: Engine) -> None:
    with writing(engine) as session:
        dataset = claim_dataset(session)
        fail = preparation.fail_preparation
        fail(session, dataset.id, dataset.attempt, code="ragged_rows", message="Line 7 has 3 cells.")


def test_a_file_is_sent_in_pieces_waited_for_looked_at_and_deleted(
    url: str, engine: Engine, blobs: BlobStore, file: Path, tmp_path: Path
) -> None:
    sent: list[tuple[int, int | None]] = []
    with Client(url) as client:
        dataset = client.datasets.upload(
            file, modality="vector", on_progress=lambda *moved: sent.append(moved), label="species"
        )
        with reading(engine) as session:
            row = session.get_one(Dataset, dataset.id)
        with pytest.raises(TimeoutError, match="still preparing"):
            dataset.wait(timeout_s=0.1)
        preparing = Thread(target=prepare, args=(engine, blobs))
        preparing.start()
        dataset.wait(timeout_s=180)
        preparing.join()
        size_bytes = dataset.preview(tmp_path / "preview.csv")
        listed = [entry.id for entry in client.datasets.list()]
        dataset.delete()

        with pytest.raises(GanymedeProblem, match="no data set"):
            client.datasets.get(dataset.id)

    assert read_verified(blobs, row.files["upload"]) == file.read_bytes()
    assert (row.name, row.modality, row.options) == ("flowers.bin", "vector", {"label": "species"})
    assert sent == [(2**18 * count, 2**20) for count in (1, 2, 3, 4)]
    assert (dataset.status, size_bytes) == ("ready", len(b"preview"))
    assert listed == [dataset.id, *DATASETS]


def test_a_file_that_the_service_refuses_is_told_why(url: str, file: Path) -> None:
    file.write_bytes(b"")
    with Client(url) as client, pytest.raises(GanymedeProblem, match="empty"):
        client.datasets.upload(file)


def test_the_console_uploads_lists_shows_and_deletes(
    url: str, engine: Engine, blobs: BlobStore, file: Path, tmp_path: Path
) -> None:
    uploaded = run(url, "upload", file, "--name", "mine")
    dataset_id = uploaded.output.strip()
    prepare(engine, blobs)
    again = run(url, "upload", file, "--wait", "--json")
    shown = run(url, "show", dataset_id)
    previewed = run(url, "preview", dataset_id, "-o", tmp_path / "p.csv")
    listed = run(url, "list")
    deleted = run(url, "delete", dataset_id, "--json")
    gone = run(url, "show", dataset_id)

    assert [each.exit_code for each in (uploaded, again, shown, previewed, listed, deleted)] == [0] * 6
    assert (json.loads(again.output)["id"], json.loads(again.output)["status"]) == (dataset_id, "ready")
    assert "constant_column: Column c never changes." in shown.output
    assert (tmp_path / "p.csv").read_bytes() == b"preview"
    assert f"{dataset_id}  ready" in listed.output
    assert "digits" in listed.output
    assert json.loads(deleted.output) == {"deleted": [dataset_id]}
    assert gone.exit_code == ExitCode.REFUSED


def test_the_console_tells_of_a_data_set_that_failed_by_its_exit_code(url: str, engine: Engine, file: Path) -> None:
    outcome: list[Result] = []
    waiting = Thread(target=lambda: outcome.append(run(url, "upload", file, "--wait")))
    waiting.start()
    wait_until(lambda: has_waiting(engine), "the upload is there")
    fail(engine)
    waiting.join()

    assert outcome[0].exit_code == ExitCode.FAILED
    assert "ragged_rows: Line 7 has 3 cells." in outcome[0].output


def has_waiting(engine: Engine) -> bool:
    with reading(engine) as session:
        return bool(preparation.next_to_prepare(session))

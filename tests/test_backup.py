"""Backup and restore of the data directory."""

import tarfile
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganymede.backup import BackupError, back_up, restore
from ganymede.cli import main
from service.blobs import make_blobs, read_verified, store_file
from service.db import make_engine, migrate, reading, writing
from service.settings import Settings
from service.store import checkpoints, jobs
from service.store.keys import LOCAL_OWNER
from tests.building import add_ready_dataset, add_running_job, save_checkpoint

WEIGHTS = b"weights of a generator"


def make_home(home: Path) -> tuple[Settings, str]:
    """Make a data directory with one job and one checkpoint; return its settings and the job's id."""
    settings = Settings(home=home)
    migrate(settings.database)
    engine = make_engine(settings.database)
    job_id, attempt = add_running_job(engine)
    file = store_file(
        make_blobs(settings.blobs), job_id=job_id, attempt=attempt, name="all.safetensors", pieces=[WEIGHTS]
    )
    with writing(engine) as session:
        save_checkpoint(session, jobs.get_job(session, LOCAL_OWNER, job_id), 10, files={"all": file})
    engine.dispose()
    return settings, job_id


def read_weights(settings: Settings, job_id: str) -> bytes:
    """Follow the row of the latest checkpoint to its bytes."""
    engine = make_engine(settings.database)
    with reading(engine) as session:
        file = checkpoints.get_checkpoint(session, job_id, "latest").files["all"]
    engine.dispose()
    return read_verified(make_blobs(settings.blobs), file)


def test_what_is_backed_up_comes_back(tmp_path: Path) -> None:
    settings, job_id = make_home(tmp_path / "home")
    elsewhere = Settings(home=tmp_path / "restored")

    back_up(settings, tmp_path / "backup.tar")
    contents = restore(elsewhere, tmp_path / "backup.tar")

    assert contents.summary() == "the database and 1 blob"
    assert read_weights(elsewhere, job_id) == WEIGHTS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "home", "restored"]


def test_a_backup_is_consistent_while_the_service_writes(tmp_path: Path) -> None:
    settings, job_id = make_home(tmp_path / "home")
    stop = threading.Event()
    written = threading.Event()

    def keep_saving() -> None:
        engine, blobs = make_engine(settings.database), make_blobs(settings.blobs)
        for step in range(11, 10_000):
            if stop.is_set():
                break
            file = store_file(blobs, job_id=job_id, attempt=1, name="all.safetensors", pieces=[str(step).encode()])
            with writing(engine) as session:
                save_checkpoint(session, jobs.get_job(session, LOCAL_OWNER, job_id), step, files={"all": file})
            written.set()
        engine.dispose()

    writer = threading.Thread(target=keep_saving)
    writer.start()
    written.wait(10)
    for attempt in range(3):
        back_up(settings, tmp_path / f"{attempt}.tar")
    stop.set()
    writer.join()

    for attempt in range(3):  # a restore refuses an archive whose rows show a blob that it does not hold
        restore(Settings(home=tmp_path / str(attempt)), tmp_path / f"{attempt}.tar")


def test_a_home_in_use_is_never_overwritten(tmp_path: Path) -> None:
    settings, _ = make_home(tmp_path / "home")
    back_up(settings, tmp_path / "backup.tar")

    with pytest.raises(BackupError, match="not empty"):
        restore(settings, tmp_path / "backup.tar")


@pytest.mark.parametrize("member", ["ganymede.db", "blobs"])
def test_a_flipped_bit_is_found_and_nothing_is_restored(tmp_path: Path, member: str) -> None:
    settings, _ = make_home(tmp_path / "home")
    archive = tmp_path / "backup.tar"
    back_up(settings, archive)
    with tarfile.open(archive) as tar:
        damaged = next(entry for entry in tar.getmembers() if entry.name.startswith(member))
    content = bytearray(archive.read_bytes())
    content[damaged.offset_data + damaged.size - 1] ^= 1
    archive.write_bytes(content)

    with pytest.raises(BackupError, match="damaged"):
        restore(Settings(home=tmp_path / "restored"), archive)
    assert not (tmp_path / "restored").exists()


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    settings, _ = make_home(tmp_path / "home")
    archive = tmp_path / "backup.tar"
    back_up(settings, archive)
    archive.write_bytes(archive.read_bytes()[:2_000])

    with pytest.raises(BackupError):
        restore(Settings(home=tmp_path / "restored"), archive)


def test_a_missing_blob_stops_the_backup(tmp_path: Path) -> None:
    settings, _ = make_home(tmp_path / "home")
    blobs = make_blobs(settings.blobs)
    for key in list(blobs.list()):
        blobs.delete(key)

    with pytest.raises(BackupError, match="missing"):
        back_up(settings, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


def test_a_missing_blob_of_a_data_set_stops_the_backup(tmp_path: Path) -> None:
    settings, _ = make_home(tmp_path / "home")
    engine = make_engine(settings.database)
    with writing(engine) as session:
        dataset = add_ready_dataset(session)
    engine.dispose()

    with pytest.raises(BackupError, match=dataset.id):
        back_up(settings, tmp_path / "backup.tar")


def test_a_blob_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    settings, job_id = make_home(tmp_path / "home")
    (tmp_path / "home" / "blobs" / job_id / ".tmp-1").write_bytes(b"half a che")

    contents = back_up(settings, tmp_path / "backup.tar")

    assert contents.summary() == "the database and 1 blob"


def test_a_database_without_tables_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "ganymede.db").touch()

    with pytest.raises(BackupError, match="no such table"):
        back_up(Settings(home=tmp_path), tmp_path / "backup.tar")


def test_the_commands_back_up_restore_and_upgrade(tmp_path: Path) -> None:
    _, job_id = make_home(tmp_path / "home")
    archive, restored = str(tmp_path / "backup.tar"), tmp_path / "restored"

    saved = CliRunner().invoke(main, ["backup", archive], env={"GANYMEDE_HOME": str(tmp_path / "home")})
    unpacked = CliRunner().invoke(main, ["restore", archive], env={"GANYMEDE_HOME": str(restored)})
    upgraded = CliRunner().invoke(main, ["migrate"], env={"GANYMEDE_HOME": str(restored)})

    assert (saved.exit_code, unpacked.exit_code, upgraded.exit_code) == (0, 0, 0)
    assert "database and 1 blob," in saved.output
    assert read_weights(Settings(home=restored), job_id) == WEIGHTS


def test_an_archive_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    archive = str(tmp_path / "nowhere" / "backup.tar")

    done = CliRunner().invoke(main, ["backup", archive], env={"GANYMEDE_HOME": str(tmp_path / "home")})

    assert (done.exit_code, done.stdout) == (1, "")
    assert "No such file or directory" in done.stderr


def test_only_embedded_parts_are_backed_up(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://localhost/ganymede")

    with pytest.raises(BackupError, match="pg_dump"):
        back_up(settings, tmp_path / "backup.tar")

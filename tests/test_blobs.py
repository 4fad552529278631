"""Every blob store keeps the same promises: a directory, memory, and a real S3 server."""

import hashlib
import shutil
import stat
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import S3Store

from service.blobs import (
    BlobStore,
    Directory,
    compare,
    make_blobs,
    read_pieces,
    read_verified,
    store_file,
    store_pieces,
    verify,
)
from service.errors import BlobDamaged, BlobMissing, StorageAway
from service.object_store import ObjectStore


@pytest.fixture
def s3_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket on a real server on the loopback."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="blobs")
    yield "s3://blobs"
    server.stop()


@pytest.fixture(params=["file", "memory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "file":
        return make_blobs(f"file://{tmp_path / 'blobs'}")
    return make_blobs("memory://" if request.param == "memory" else request.getfixturevalue("s3_url"))


def test_what_is_put_is_read_listed_and_deleted(blobs: BlobStore) -> None:
    blobs.put("job_1/1/a.bin", b"abc")
    blobs.put_lightly("job_2/1/b.bin", b"de")
    blobs.put(".hidden", b"f")

    with blobs.open("job_1/1/a.bin") as reader:
        reader.seek(1)
        assert reader.read() == b"bc"
    assert list(blobs.list()) == ["job_1/1/a.bin", "job_2/1/b.bin"]
    assert list(blobs.list("job_2/")) == ["job_2/1/b.bin"]

    blobs.delete("job_1/1/a.bin")
    blobs.delete("job_1/1/a.bin")

    assert list(blobs.list()) == ["job_2/1/b.bin"]
    with pytest.raises(BlobMissing):
        blobs.open("job_1/1/a.bin")


def test_directories_are_listed_one_level_at_a_time(blobs: BlobStore) -> None:
    for key in ("job_1/1/a.bin", "job_1/12/a.bin", "job_2/1/b.bin", "loose.bin"):
        blobs.put(key, b"abc")

    assert list(blobs.list_directories()) == ["job_1", "job_2"]
    assert list(blobs.list_directories("job_1/")) == ["1", "12"]
    assert list(blobs.list_directories("job_3/")) == []


def test_tidying_leaves_no_unfinished_file_and_no_empty_directory_and_touches_no_blob(tmp_path: Path) -> None:
    blobs = Directory(tmp_path)
    for name in ("job_1/1/.tmp-1", "job_1/2/.tmp-2", "job_1/2/a.bin", "job_2/1/.tmp-3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    blobs.tidy("job_1/")
    blobs.tidy("job_3/")

    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["job_1/2/a.bin", "job_2/1/.tmp-3"]
    assert not (tmp_path / "job_1" / "1").exists()


def test_a_stored_file_carries_attempt_and_hash_in_its_key(blobs: BlobStore) -> None:
    file = store_file(blobs, job_id="job_1", attempt=3, name="all-500.safetensors", pieces=[b"weights"])

    assert file["key"].startswith("job_1/3/all-500-")
    assert file["key"].endswith(f"{file['sha256'][:16]}.safetensors")
    assert read_verified(blobs, file) == b"weights"
    verify(blobs, file)


def test_what_comes_in_pieces_is_stored_whole_or_not_at_all(blobs: BlobStore) -> None:
    piece = bytes(range(256)) * 2**12

    def break_off() -> Iterator[bytes]:
        yield from [piece] * 6
        raise TimeoutError("no more came")

    file = store_pieces(blobs, "ds_1/0/upload", [piece] * 6)
    with pytest.raises(TimeoutError, match="no more"):
        store_pieces(blobs, "ds_1/0/half", break_off())

    assert read_verified(blobs, file) == piece * 6
    assert (file["size"], list(blobs.list("ds_1/"))) == (6 * len(piece), ["ds_1/0/upload"])


def test_damage_is_noticed(blobs: BlobStore) -> None:
    file = store_file(blobs, job_id="job_1", attempt=1, name="all.bin", pieces=[b"weights"])
    blobs.put(file["key"], b"weightz")

    with pytest.raises(BlobDamaged):
        read_verified(blobs, file)
    with pytest.raises(BlobDamaged):
        verify(blobs, file)


def test_a_file_that_is_held_in_pieces_is_recorded_like_one_in_one_piece(blobs: BlobStore) -> None:
    pieces = [b"", b"wei", memoryview(b"ghts" * 2**20)]

    held = store_file(blobs, job_id="job_1", attempt=1, name="all.bin", pieces=pieces)
    compare(blobs, held["key"], pieces)

    assert held == store_file(blobs, job_id="job_1", attempt=1, name="all.bin", pieces=[b"".join(pieces)])
    assert read_verified(blobs, held) == b"".join(pieces)


@pytest.mark.parametrize("stored", [b"weightz", b"weight", b"weights!", b""])
def test_what_was_stored_otherwise_than_it_was_held_is_noticed(blobs: BlobStore, stored: bytes) -> None:
    blobs.put("job_1/1/all.bin", stored)

    with pytest.raises(BlobDamaged):
        compare(blobs, "job_1/1/all.bin", [b"wei", b"ghts"])


@pytest.mark.parametrize("url", ["file", "memory"])
def test_a_large_blob_is_verified_and_read_without_being_held_in_memory(url: str, tmp_path: Path) -> None:
    blobs = make_blobs(f"file://{tmp_path}" if url == "file" else "memory://")
    pieces = (bytes([number]) * 2**20 for number in range(32))
    file = store_pieces(blobs, "job_1/1/large.bin", pieces)

    tracemalloc.start()
    verify(blobs, file)
    digest = hashlib.sha256()
    for piece in read_pieces(blobs, "job_1/1/large.bin"):
        digest.update(piece)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert digest.hexdigest() == file["sha256"]
    assert peak_bytes < 8 * 2**20


def test_any_part_of_a_large_blob_is_read(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 40_000
    blobs.put("job_1/1/large.bin", data)

    with blobs.open("job_1/1/large.bin") as reader:
        reader.seek(-100, 2)
        assert reader.read() == data[-100:]
        reader.seek(5_000_001)
        assert (reader.read(200), reader.tell()) == (data[5_000_001:5_000_201], 5_000_201)
        reader.seek(0)
        assert reader.read() == data


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp"):
        make_blobs("ftp://somewhere")


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd"])
def test_no_key_leads_out_of_the_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Directory(tmp_path / "blobs").put(key, b"")


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = Directory(tmp_path)
    (tmp_path / "job_1").mkdir()
    (tmp_path / "job_1" / "taken").mkdir()

    with pytest.raises(OSError, match="directory"):
        blobs.put("job_1/taken", b"abc")

    assert [path.name for path in (tmp_path / "job_1").iterdir()] == ["taken"]


def test_a_half_written_file_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1234").write_bytes(b"half")

    assert list(Directory(tmp_path).list()) == []
    assert stat.S_ISREG((tmp_path / ".tmp-1234").stat().st_mode)


def test_a_store_that_does_not_answer_is_told_as_ours(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    blobs = ObjectStore(
        S3Store.from_url(s3_url, retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)})
    )

    with pytest.raises(StorageAway):
        blobs.put("job_1/1/a.bin", b"abc")
    with pytest.raises(StorageAway):
        blobs.open("job_1/1/a.bin")
    with pytest.raises(StorageAway):
        list(blobs.list())


def test_directories_that_vanish_while_they_are_listed_are_passed_over(tmp_path: Path) -> None:
    blobs = Directory(tmp_path)
    for job in ("job_1", "job_2"):
        for attempt in (1, 2):
            blobs.put(f"{job}/{attempt}/a.bin", b"a")

    listing = blobs.list()
    first = next(listing)
    gone = "job_2" if first.startswith("job_1") else "job_1"
    shutil.rmtree(tmp_path / gone)

    assert {key.split("/")[0] for key in [first, *listing]} == {"job_1", "job_2"} - {gone}

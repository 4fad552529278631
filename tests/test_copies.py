"""Copies of prepared data sets on a worker's disk: fetched once, bounded, and never taken from who uses them."""

from pathlib import Path
from typing import Any

import pytest

from service.blobs import BlobStore, store_file
from service.errors import BlobDamaged, BlobMissing
from worker.copies import Copies

SIZE_BYTES = 1_000


def store(blobs: BlobStore, number: int) -> dict[str, Any]:
    return store_file(blobs, job_id=f"ds_{number}", attempt=1, name="rows.npy", pieces=[bytes([number]) * SIZE_BYTES])


def kept(directory: Path) -> set[int]:
    """Return which numbers have a copy."""
    return {path.read_bytes()[0] for path in directory.iterdir()}


def use(blobs: BlobStore, directory: Path, *files: dict[str, Any]) -> None:
    """Ask for copies as a process does that soon ends."""
    with Copies(blobs, directory, most_bytes=3 * SIZE_BYTES) as copies:
        for file in files:
            assert copies.path_of(file).stat().st_size == SIZE_BYTES


def test_the_least_recently_used_copies_make_room(blobs: BlobStore, tmp_path: Path) -> None:
    files = [store(blobs, number) for number in range(5)]

    for number in (0, 1, 2, 0, 3):
        use(blobs, tmp_path, files[number])

    assert kept(tmp_path) == {0, 2, 3}


def test_a_copy_in_use_stays_though_the_bound_is_passed(blobs: BlobStore, tmp_path: Path) -> None:
    files = [store(blobs, number) for number in range(6)]

    with Copies(blobs, tmp_path, most_bytes=3 * SIZE_BYTES) as copies:
        for file in files[:4]:
            copies.path_of(file)
        use(blobs, tmp_path, files[4])
        assert kept(tmp_path) == {0, 1, 2, 3, 4}

    use(blobs, tmp_path, files[5])
    assert kept(tmp_path) == {3, 4, 5}


def test_what_a_killed_fetch_has_left_makes_room_too(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef").write_bytes(bytes([99]) * 3 * SIZE_BYTES)

    use(blobs, tmp_path, store(blobs, 1))

    assert kept(tmp_path) == {1}


def test_a_part_of_a_copy_is_fetched_again(blobs: BlobStore, tmp_path: Path) -> None:
    file = store(blobs, 1)
    (tmp_path / f"{file['sha256']}.npy").write_bytes(b"half")

    use(blobs, tmp_path, file)

    assert kept(tmp_path) == {1}


def test_other_bytes_than_recorded_are_never_kept(blobs: BlobStore, tmp_path: Path) -> None:
    damaged, lost = store(blobs, 1), store(blobs, 2)
    blobs.put(damaged["key"], bytes(SIZE_BYTES))
    blobs.delete(lost["key"])

    for file, error in ((damaged, BlobDamaged), (lost, BlobMissing)):
        with pytest.raises(error):
            Copies(blobs, tmp_path, most_bytes=0).path_of(file)

    assert kept(tmp_path) == set()

"""Every hostile file is refused with a sentence or becomes a whole data set, and does nothing else."""

import json
import os
import resource
import sys
import traceback
import warnings
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.spec.facts import facts_from_json, facts_to_json
from tests.hostile import EACH, FAMILIES, files_of
from worker.forkserver import ForkServer
from worker.ingest.prepare import prepare
from worker.ingest.upload import LABELS, MIB, PREVIEW_CSV, PREVIEW_PNG, ROWS, SMALLEST, BadUpload, Limits, Upload
from worker.preparation import Bounds, _limit, describe, prepare_apart, read_answer

LIMITS = Limits(prepared_bytes=64 * MIB, entry_bytes=16 * MIB)
BOUNDS = Bounds(memory_bytes=1024 * MIB, cpu_s=120, file_bytes=64 * MIB)
MOST_GROWN_BYTES = 600 * MIB  # of the process that reads a family, its libraries included
OUTPUTS = {ROWS, LABELS, PREVIEW_PNG, PREVIEW_CSV}


def prepare_family(root: Path, *, words: Connection) -> None:
    """Prepare every file of a directory in this process, which has the limits of a preparation, and tell of each."""
    _limit(BOUNDS)
    os.chdir(root / "here")
    warnings.simplefilter("ignore")
    unpickled: list[str] = []
    sys.addaudithook(lambda event, given: unpickled.append(str(given)) if event == "pickle.find_class" else None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = [prepare_one(path, root / "prepared" / path.name) for path in sorted((root / "uploads").iterdir())]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    (root / "outcomes.json").write_text(json.dumps({"files": outcomes, "unpickled": unpickled, "grown": grown}))


def prepare_one(path: Path, target: Path) -> dict[str, Any]:
    target.mkdir()
    try:
        prepared = prepare(Upload(path, "mine", "00" * 32), target, LIMITS)
    except BadUpload as refusal:
        return {"code": refusal.code, "message": str(refusal)}
    except MemoryError as error:  # a library may believe a size it reads; the limit is what stops it
        return {"code": describe(error).reason, "message": describe(error).message}
    except Exception as error:  # noqa: BLE001 (told, and the test fails)
        return {"error": "".join(traceback.format_exception(error))}
    return {"facts": facts_to_json(prepared.facts)}


@pytest.fixture(scope="module")
def fork_server() -> ForkServer:
    return ForkServer()


def everything_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def check_data_set(facts_json: dict[str, Any], target: Path) -> None:
    facts, rows = facts_from_json(facts_json), np.load(target / ROWS, mmap_mode="r", allow_pickle=False)
    stored = (len(facts.table),) if facts.table else facts.shape
    assert rows.shape == (facts.count, *stored)
    assert facts.count >= SMALLEST
    assert facts.table or np.isfinite(rows).all()
    if facts.labels:
        labels = np.load(target / LABELS, allow_pickle=False)
        assert labels.shape == (facts.count,)
        assert 0 <= labels.min() <= labels.max() < len(facts.labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_files_are_refused_or_whole(family: str, tmp_path: Path, fork_server: ForkServer) -> None:
    for name in ("uploads", "prepared", "here"):
        (tmp_path / name).mkdir()
    for number, data in enumerate(files_of(family)):
        (tmp_path / "uploads" / f"{number:02}").write_bytes(data)
    before = everything_below(tmp_path)

    code, _ = fork_server.fork(prepare_family, tmp_path).end()

    assert code == 0
    told = json.loads((tmp_path / "outcomes.json").read_text())
    targets = {f"prepared/{number:02}" for number in range(EACH)}
    allowed = targets | {f"{target}/{name}" for target in targets for name in OUTPUTS} | {"outcomes.json"}
    assert everything_below(tmp_path) - before <= allowed
    assert told["unpickled"] == []
    assert told["grown"] < MOST_GROWN_BYTES
    assert [outcome for outcome in told["files"] if "error" in outcome] == []
    for number, outcome in enumerate(told["files"]):
        if "facts" in outcome:
            check_data_set(outcome["facts"], tmp_path / "prepared" / f"{number:02}")
        else:
            assert outcome["message"].isprintable()
            assert len(outcome["message"]) < 500


@pytest.mark.parametrize("family", ["bomb", "odd_png", "pickled", "odd_parquet"])
def test_a_preparation_of_its_own_tells_the_same(family: str, tmp_path: Path, fork_server: ForkServer) -> None:
    for number, data in islice(enumerate(files_of(family)), 3):
        (tmp_path / f"upload-{number}").write_bytes(data)
        target = tmp_path / f"prepared-{number}"
        target.mkdir()
        upload = Upload(tmp_path / f"upload-{number}", "mine", "00" * 32)

        code, words = fork_server.fork(prepare_apart, upload, target, LIMITS, BOUNDS).end()

        if words is None:
            assert code == 0
            assert read_answer(target).facts.count >= SMALLEST
        else:
            assert json.loads(words)["reason"] not in {"crashed", "no_space"}

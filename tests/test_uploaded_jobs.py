"""An upload on its way through a real worker: woken by a message, prepared, trained on, sampled."""

import shutil
from pathlib import Path

import numpy as np

from service.blobs import make_blobs, sha256_of
from service.broker import INGEST
from service.db import reading, writing
from service.models import Dataset
from service.store import preparation
from service.store.keys import LOCAL_OWNER
from tests.house import House, a_house, wait_until
from tests.uploads import make_npy


def upload(house: House, data: bytes) -> str:
    """Store an upload as the web does and announce it; return the id of its data set."""
    blobs = make_blobs(house.settings.blobs)
    with writing(house.engine) as session:
        dataset = preparation.begin_upload(session, LOCAL_OWNER)
        digest = sha256_of(data)
        file = {"key": f"{dataset.id}/0/upload", "size": len(data), "sha256": digest}
        blobs.put(file["key"], data)
        finish = preparation.finish_upload
        finish(session, dataset.id, file, identity=digest, name="mine", modality=None, options={})
    house.wakeups.announce(INGEST)
    return dataset.id


def see(house: House, dataset_id: str) -> Dataset:
    with reading(house.engine) as session:
        return session.get_one(Dataset, dataset_id)


def test_a_woken_worker_prepares_an_upload_and_trains_on_it(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "ganymede.db")
    points = np.random.default_rng(0).normal(size=(200, 3))

    with a_house(tmp_path, f"sqlite:///{tmp_path / 'ganymede.db'}", wake_again_s=600.0) as house:
        house.ensure_worker()
        dataset_id = upload(house, make_npy(points))
        wait_until(lambda: see(house, dataset_id).is_settled, "the data set is prepared")
        job = house.wait_for_end(house.submit(dataset=dataset_id, loop={"max_steps": 20}))

    assert see(house, dataset_id).state == "ready"
    assert (job.status, job.step) == ("succeeded", 20)

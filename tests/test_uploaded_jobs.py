"""An upload on its way through a real worker: woken by a message, prepared, trained on, sampled."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from ganymede.client import Client, Job
from service.blobs import make_blobs, sha256_of
from service.broker import INGEST
from service.db import reading, writing
from service.models import Dataset
from service.store import preparation
from service.store.keys import LOCAL_OWNER
from tests.house import House, a_sqlite_house, wait_until
from tests.serving import Service
from tests.uploads import make_npy, make_picture, make_wav, make_zip


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
    points = np.random.default_rng(0).normal(size=(200, 3))

    with a_sqlite_house(tmp_path, sqlite_template, wake_again_s=600.0) as house:
        house.ensure_worker()
        dataset_id = upload(house, make_npy(points))
        wait_until(lambda: see(house, dataset_id).is_settled, "the data set is prepared")
        job = house.wait_for_end(house.submit(dataset=dataset_id, loop={"max_steps": 20}))

    assert see(house, dataset_id).state == "ready"
    assert (job.status, job.step) == ("succeeded", 20)


def train(client: Client, file: Path, data: bytes) -> Job:
    """Upload a file and train on it by the recipe, though shortly."""
    file.write_bytes(data)
    dataset = client.datasets.upload(file).wait(120)
    assert dataset.status == "ready", dataset.data["error"]
    job = client.jobs.create(dataset=dataset.id, loop={"max_steps": 20}).wait(240)
    assert job.status == "succeeded", job.data["error"]
    return job


CITIES = ["Bonn", "Köln", "=Ulm()"]
FIRST_DAY, LAST_DAY = pd.Timestamp("2020-01-01"), pd.Timestamp("2022-09-26")


def make_members() -> pd.DataFrame:
    """Return 300 rows of numbers, words, dates and gaps."""
    random = np.random.default_rng(0)
    members = pd.DataFrame(
        {
            "age": random.integers(18, 80, 300),
            "income": random.lognormal(7, 0.5, 300).round(2),
            "city": random.choice(CITIES, 300),
            "joined": pd.date_range(FIRST_DAY, LAST_DAY, 300).strftime("%Y-%m-%d"),
            "member": random.choice(["yes", "no"], 300),
        }
    )
    members.loc[::7, "income"] = None
    members.loc[::11, "city"] = None
    return members


def test_a_table_of_ones_own_is_sampled_by_its_columns(service: Service, tmp_path: Path) -> None:
    members, made = make_members(), tmp_path / "made.csv"
    where = {"city": ["Bonn", "=Ulm()"], "joined": {"minimum": "2021-01-01", "maximum": "2021-12-31"}}

    with Client(service.url) as client:
        job = train(client, tmp_path / "members.csv", members.to_csv(index=False).encode())
        job.sample(n=500, seed=1, format="csv").download(tmp_path / "any.csv")
        job.sample(n=50, seed=1, where=where, format="csv").download(made)

    rows = pd.read_csv(tmp_path / "any.csv", parse_dates=["joined"])
    assert list(rows.columns) == list(members.columns)
    assert [rows[name].dtype.kind for name in ("age", "income", "joined")] == ["i", "f", "M"]
    assert set(rows["city"].dropna()) <= {"Bonn", "Köln", "'=Ulm()"}
    assert set(rows["member"]) <= {"yes", "no"}
    for name in ("age", "income"):
        assert rows[name].between(members[name].min(), members[name].max()).sum() == rows[name].count()
    assert rows["joined"].between(FIRST_DAY, LAST_DAY).all()
    assert 0 < rows["income"].isna().sum() < 500
    wanted = pd.read_csv(made, parse_dates=["joined"])
    assert len(wanted) == 50
    assert set(wanted["city"]) <= {"Bonn", "'=Ulm()"}
    assert wanted["joined"].between("2021-01-01", "2021-12-31").all()
    cells = [cell for line in made.read_text().splitlines() for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.fixture
def folders() -> dict[str, bytes]:
    """Twenty dark and twenty light pictures in folders of their own."""
    random = np.random.default_rng(0)
    shades = {"dark": 40, "light": 210}
    return {
        f"{name}/{number}.png": make_picture(random.integers(shade - 30, shade + 30, (16, 16, 3), dtype=np.uint8))
        for name, shade in shades.items()
        for number in range(20)
    }


def test_pictures_in_folders_are_sampled_by_folder(service: Service, folders: dict[str, bytes], tmp_path: Path) -> None:
    with Client(service.url) as client:
        job = train(client, tmp_path / "shades.zip", make_zip(folders))
        job.sample(n=3, seed=1, classes=["light"], format="zip").download(tmp_path / "made.zip")

    with zipfile.ZipFile(tmp_path / "made.zip") as made:
        assert made.namelist() == [f"{number:05d}_light.png" for number in range(3)]
        with Image.open(io.BytesIO(made.read(made.namelist()[0]))) as picture:
            assert (picture.size, picture.mode) == ((16, 16), "RGB")


def test_sounds_in_folders_are_sampled_by_label(service: Service, tmp_path: Path) -> None:
    at_s = np.arange(2048) / 16_000
    tones = {
        f"{name}/{number}.wav": make_wav(0.5 * np.sin(2 * np.pi * (pitch + number) * at_s))
        for name, pitch in (("low", 200), ("high", 900))
        for number in range(20)
    }

    with Client(service.url) as client:
        job = train(client, tmp_path / "tones.zip", make_zip(tones))
        job.sample(n=2, seed=1, classes=["high"], format="zip").download(tmp_path / "made.zip")

    with zipfile.ZipFile(tmp_path / "made.zip") as made:
        assert made.namelist() == ["00000_high.wav", "00001_high.wav"]
        sound, rate = soundfile.read(io.BytesIO(made.read("00000_high.wav")))
    assert (rate, sound.shape) == (16_000, (2048,))
    assert np.abs(sound).max() > 0

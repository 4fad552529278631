"""A generator opened from its file: the job's own samples again, others on request, and the page that tells how."""

import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from small_training import small_spec, small_training

from service.spec.datasets import DATASETS
from service.spec.drawing import Drawing, Walk
from tests.reference import ROOT
from worker.gan.files import Part, UnreadableState, generator_file, write_state
from worker.gan.generation import OpenedGenerator, open_generator
from worker.gan.randomness import Stream, random_for
from worker.gan.samples import exporter_for
from worker.gan.state import TrainingState
from worker.gan.training import Training

PAGE = (ROOT / "docs" / "generator.md").read_text()


def trained(dataset: str, *, half_life_samples: int = 100, dtype: torch.dtype = torch.float32) -> Training:
    spec = small_spec(
        dataset=dataset, model={"ema": {"half_life_samples": half_life_samples}}, samples={"count": 30}, seed=7
    )
    training = small_training(spec, dtype=dtype)
    for _ in range(3):
        training.step()
    return training


def opened(dataset: str) -> OpenedGenerator:
    return open_generator(generator_file(trained(dataset).state(), "ema"))


def numbers_in(npz: bytes) -> dict[str, np.ndarray]:
    with np.load(BytesIO(npz)) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("which", "half_life_samples"), [("ema", 100), ("generator", 0)])
@pytest.mark.parametrize("dataset", ["ring", "digits", "wine"])
def test_the_seed_and_count_of_the_job_give_the_samples_of_the_job(
    dataset: str, which: Part, half_life_samples: int, dtype: torch.dtype
) -> None:
    training = trained(dataset, half_life_samples=half_life_samples, dtype=dtype)
    latents, labels = training.fixed_latents()

    files = open_generator(generator_file(training.state(), which)).render(count=30, seed=7)

    assert files == exporter_for(training.data).render(training.sample(latents, labels), labels)


def test_a_file_on_disk_opens_like_its_bytes(tmp_path: Path) -> None:
    data = generator_file(trained("ring").state(), "ema")
    path = tmp_path / "generator.safetensors"
    path.write_bytes(data)

    from_path, from_bytes = open_generator(path), open_generator(data)

    assert from_path.step == from_bytes.step == 3
    assert np.array_equal(from_path.sample(5, seed=1)[0], from_bytes.sample(5, seed=1)[0])


def test_samples_are_numbers_in_the_datas_own_units() -> None:
    values, labels = opened("wine").sample(count=9, seed=1)

    assert values.shape == (9, 13)
    assert values[:, -1].min() > 100  # proline; the network itself sees units of spread 1
    assert labels is not None
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_another_seed_gives_other_samples_and_the_same_seed_the_same() -> None:
    generator = opened("digits")

    first, _ = generator.sample(4, seed=1)

    assert np.array_equal(generator.sample(4, seed=1)[0], first)
    assert not np.array_equal(generator.sample(4, seed=2)[0], first)


def test_labels_that_are_asked_for_are_drawn_for() -> None:
    generator = opened("digits")

    sevens, labels = generator.sample(4, seed=1, labels=[7, 7, 7, 7])

    assert labels is not None
    assert labels.tolist() == [7, 7, 7, 7]
    assert not np.array_equal(sevens, generator.sample(4, seed=1, labels=[1, 1, 1, 1])[0])


@pytest.mark.parametrize("dataset", ["digits", "survey"])
def test_a_path_leads_through_the_samples_of_its_seed(dataset: str) -> None:
    generator = opened(dataset)
    path = Drawing(12, 5, "npz", walk=Walk(4))

    frames, keys = (numbers_in(generator.carry_out(each)) for each in (path, Drawing(4, 5, "npz")))

    assert np.array_equal(frames["samples"][::3], keys["samples"], equal_nan=True)
    assert not np.array_equal(frames["samples"][1], frames["samples"][0])
    if "labels" in keys:
        assert np.array_equal(frames["labels"][::3], keys["labels"])


def test_latents_that_are_given_are_those_that_are_drawn_from() -> None:
    generator = opened("digits")
    latents = generator.network.draw_latents(5, random_for(3, Stream.SAMPLES, 0))[:, generator.network.normals]
    given = tuple(map(tuple, latents.tolist()))

    drawn = generator.carry_out(Drawing(5, 3, "png", truncation=0.7))

    assert generator.carry_out(Drawing(5, 3, "png", truncation=0.7, latents=given)) == drawn
    assert generator.carry_out(Drawing(5, 3, "png", truncation=0.7, latents=given[:4] + given[:1])) != drawn


def test_a_path_of_pictures_moves_and_as_a_grid_shows_all_of_it() -> None:
    generator = opened("digits")
    moving = generator.carry_out(Drawing(100, 1, "gif", classes=(3,), walk=Walk(4), fps=25.0))
    grid = generator.carry_out(Drawing(100, 1, "png", walk=Walk(4)))

    with Image.open(BytesIO(moving)) as film, Image.open(BytesIO(grid)) as picture:
        lasting_ms = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]  # longer where two are alike
        assert (film.format, film.size, film.info["loop"]) == ("GIF", (256, 256), 0)
        assert (sum(lasting_ms), min(lasting_ms)) == (100 * 40, 40)
        assert picture.width == picture.height  # of all classes in its own order, and 64 of the 100


@pytest.mark.parametrize(
    ("dataset", "count", "labels"),
    [("digits", 2, [1]), ("digits", 1, [10]), ("digits", 1, [-1]), ("ring", 1, [0]), ("ring", 0, None)],
)
def test_labels_and_counts_that_do_not_fit_are_refused(dataset: str, count: int, labels: list[int] | None) -> None:
    with pytest.raises(ValueError, match=r"labels from 0|at least 1"):
        opened(dataset).sample(count, seed=1, labels=labels)


def test_a_whole_training_state_is_refused_by_what_to_ask_for_instead() -> None:
    with pytest.raises(UnreadableState, match="generator or ema"):
        open_generator(write_state(trained("ring").state()))


def test_a_file_that_does_not_say_its_units_is_refused() -> None:
    state = trained("ring").state()
    bare = {**state.facts, "data": {"modality": "vector", "shape": [2], "labels": [], "columns": ["x", "y"]}}

    with pytest.raises(UnreadableState, match="units"):
        open_generator(generator_file(TrainingState(state.tensors, bare), "generator"))


def test_a_file_of_networks_that_are_built_otherwise_now_is_refused() -> None:
    state = trained("digits").state()
    other = {**state.tensors, "generator.last.weight": torch.zeros(7, 7)}

    with pytest.raises(UnreadableState, match="built otherwise"):
        open_generator(generator_file(TrainingState(other, state.facts), "generator"))


@pytest.mark.parametrize("name", DATASETS)
def test_a_file_says_all_that_the_units_of_its_data_need(name: str) -> None:
    training = trained(name)

    exporter = open_generator(generator_file(training.state(), "generator")).exporter

    real, labels = training.data.specimens(20), None
    assert exporter.facts == training.data.facts
    assert exporter.render(real, labels) == exporter_for(training.data).render(real, labels)


def test_the_code_of_the_page_runs_on_a_downloaded_file(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "generator.safetensors").write_bytes(generator_file(trained("digits").state(), "ema"))

    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert len(blocks) == 3
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "digits.npz") as arrays:
        assert arrays["samples"].shape == (1000, 1, 8, 8)
    assert len((tmp_path / "digits.csv").read_text().splitlines()) == 1000
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.format == "PNG"

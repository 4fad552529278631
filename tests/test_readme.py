"""The README: its tables are those of the code, and its walk with curl walks, as do those of the other pages."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ganymede.client import Client
from service.spec.datasets import DATASETS
from tests import readme_tables
from tests.serving import Service

README = readme_tables.README.read_text()


def blocks(page: str) -> list[str]:
    """Return what a page gives to bash."""
    return re.findall(r"```bash\n(.*?)```", page, re.DOTALL)


def walked(commands: str, service: Service, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of a page against a service, in a directory."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=directory,
        env={**os.environ, "API": service.url},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize("name", ["endpoints", "settings", "files"])
def test_the_tables_are_up_to_date(name: str) -> None:
    assert readme_tables.current(name) == readme_tables.tables()[name], "run `make readme`"


def test_every_built_in_data_set_is_named() -> None:
    [line] = [line for line in README.splitlines() if line.startswith("| data | your own")]

    assert [*DATASETS] == [name for name in DATASETS if f"`{name}`" in line]


def test_the_walk_with_curl_can_be_walked(service: Service, tmp_path: Path) -> None:
    walk, *_ = blocks(README)

    done = walked(walk, service, tmp_path)

    assert done.returncode == 0, done.stderr
    assert '"step":[298,299,300]' in done.stdout.replace(" ", "")
    assert "max_steps" in done.stdout.splitlines()[-1]
    history = np.genfromtxt(tmp_path / "losses.csv", delimiter=",", names=True)
    assert list(history["step"]) == list(range(1, 301))
    assert (tmp_path / "losses.svg").read_text().startswith("<svg")
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.format == "PNG"
    assert len(load_file(tmp_path / "generator.safetensors")) > 0


def test_the_table_of_wine_has_the_rows_that_were_asked_for(service: Service, tmp_path: Path) -> None:
    _, table, _ = blocks(README)
    shorter = table.replace('"dataset": "wine"', '"dataset": "wine", "loop": {"max_steps": 20}')

    done = walked(shorter, service, tmp_path)

    assert done.returncode == 0, done.stderr
    header, *rows = (tmp_path / "wine.csv").read_text().splitlines()
    assert header.startswith("alcohol,")
    assert header.endswith(",class")
    assert len(rows) == 1000
    _, *strong = csv.reader((tmp_path / "strong.csv").read_text().splitlines())
    assert len(strong) == 200
    assert all(float(row[0]) >= 13 for row in strong)
    assert [row[-1] for row in strong] == ["class_0"] * 100 + ["class_2"] * 100


@pytest.mark.slow
def test_data_of_ones_own_is_uploaded_prepared_and_trained_on(service: Service, tmp_path: Path) -> None:
    *_, own_data = blocks(README)
    shorter = own_data.replace('"name": "people"', '"name": "people", "loop": {"max_steps": 5}')

    done = walked(shorter, service, tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preview.csv").read_text().startswith("height,weight")
    with Client(service.url) as client:
        job = client.jobs.get(json.loads(done.stdout.splitlines()[-1])["id"]).wait(timeout_s=180)
        assert client.datasets.get(job.data["resolved_spec"]["dataset"]["name"]).data["name"] == "people"
    assert job.status == "succeeded"


def test_the_experiment_on_saturation_shows_what_its_page_says(service: Service, tmp_path: Path) -> None:
    (experiment,) = blocks((readme_tables.ROOT / "docs" / "saturation.md").read_text())

    done = walked(experiment, service, tmp_path)

    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    means = {(loss, int(step)): [float(mean) for mean in rest] for loss, step, *rest in lines}
    assert len(means) == 12
    d_fake, _, _, total_loss, g_grad_norm = means["saturating", 600]
    practical_d_fake, _, _, practical_total_loss, practical_g_grad_norm = means["non_saturating", 600]
    assert d_fake < practical_d_fake / 3
    assert g_grad_norm < practical_g_grad_norm / 10
    assert total_loss > 2 * means["saturating", 200][3]
    assert practical_total_loss < means["non_saturating", 200][3]


def test_the_sweep_of_the_article_names_the_best_of_four(service: Service, tmp_path: Path) -> None:
    (walk,) = blocks((readme_tables.ROOT / "docs" / "sweeps.md").read_text())

    done = walked(walk, service, tmp_path)

    assert done.returncode == 0, done.stderr
    sweep, by_recall, by_loss, curves = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("article", "recall", "total_loss", "curves")
    )
    board = sweep["leaderboard"]
    assert sweep["members"]["succeeded"] == 4
    assert board["best"] == board["data"][0]["job"]
    assert [place["rank"] for place in by_recall["leaderboard"]["data"]] == [1, 2, 3, 4]
    losses = [place["value"] for place in by_loss["leaderboard"]["data"]]
    assert losses == sorted(losses)
    pairs = {tuple(place["parameters"].values()) for place in board["data"]}
    assert len(pairs) == len(curves["data"]) == 4

"""The pages of the documentation can be walked: what they give to bash and to Python does what they say."""

import base64
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ganymede.client import Client, Job
from service.clock import now
from service.signing import sign
from tests.reference import ROOT
from tests.serving import Service
from tests.walking import BLOCK, walk

EXAMPLES = ROOT / "docs" / "examples"


def test_every_page_with_commands_is_walked() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    with_commands = {str(page.relative_to(ROOT)) for page in pages if BLOCK.search(page.read_text())}
    walked = {*re.findall(r'"((?:docs/)?\w+\.md)', Path(__file__).read_text())}

    assert with_commands == walked | {"docs/exports.md", "docs/generator.md"}  # carried out beside what they are about


def is_picture(file: Path) -> bool:
    with Image.open(file) as picture:
        return picture.format == "PNG"


@pytest.fixture(scope="module")
def job(service: Service) -> Job:
    """A short job that has succeeded, for pages that speak of one."""
    with Client(service.url) as client:
        return client.jobs.create(dataset="ring", seed=1, loop={"max_steps": 60}).wait(timeout_s=300)


def test_the_walks_of_the_readme(service: Service, tmp_path: Path) -> None:
    done = walk("README.md", service, tmp_path)

    assert '"step":[298,299,300]' in done.stdout.replace(" ", "")
    assert re.search(r"max_stepz.*max_steps", done.stdout)
    history = np.genfromtxt(tmp_path / "losses.csv", delimiter=",", names=True)
    assert list(history["step"]) == list(range(1, 301))
    assert (tmp_path / "losses.svg").read_text().startswith("<svg")
    assert is_picture(tmp_path / "samples.png")
    assert is_picture(tmp_path / "ring.png")
    assert len(load_file(tmp_path / "generator.safetensors")) > 0


def test_the_ways_to_watch_a_job(service: Service, tmp_path: Path) -> None:
    walk("docs/watching.md", service, tmp_path)

    lines = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines() if line.strip()]
    ids = [int(number) for number in re.findall(r"^id: (\d+)$", (tmp_path / "events.txt").read_text(), re.MULTILINE)]
    rest = [int(number) for number in re.findall(r"^id: (\d+)$", (tmp_path / "rest.txt").read_text(), re.MULTILINE)]
    assert json.loads((tmp_path / "job.json").read_text())["status"] in ("queued", "running", "succeeded")
    assert [line["id"] for line in lines] == ids == [*range(1, len(ids) + 1)]
    assert lines[-1]["data"]["status"] == "succeeded"
    assert rest == ids[2:]


def test_the_tutorial(service: Service, tmp_path: Path) -> None:
    walk("docs/tutorial.md", service, tmp_path, shorter={"2000": "60"})

    assert is_picture(tmp_path / "samples.png")


def test_the_guide_to_data(service: Service, tmp_path: Path) -> None:
    shorter = {'"name": "people"}': '"name": "people", "loop": {"max_steps": 5}}'}

    done = walk("docs/data.md", service, tmp_path, shorter=shorter)

    assert (tmp_path / "preview.csv").read_text().startswith("height,weight")
    with Client(service.url) as client:
        job = client.jobs.get(json.loads(done.stdout.splitlines()[-1])["id"]).wait(timeout_s=180)
        assert client.datasets.get(job.data["resolved_spec"]["dataset"]["name"]).data["name"] == "people"
    assert job.status == "succeeded"


def test_the_guide_to_samples(service: Service, tmp_path: Path) -> None:
    shorter = {'"dataset": "wine"': '"dataset": "wine", "loop": {"max_steps": 20}'}

    done = walk("docs/samples.md", service, tmp_path, shorter=shorter)

    header, *rows = (tmp_path / "wine.csv").read_text().splitlines()
    assert header.startswith("alcohol,")
    assert header.endswith(",class")
    assert len(rows) == 1000
    _, *strong = csv.reader((tmp_path / "strong.csv").read_text().splitlines())
    assert len(strong) == 200
    assert all(float(row[0]) >= 13 for row in strong)
    assert [row[-1] for row in strong] == ["class_0"] * 100 + ["class_2"] * 100
    assert re.fullmatch(r"\(200, 13\) 1[34]\.\d+", done.stdout.splitlines()[-1])


def test_the_experiment_on_saturation_shows_what_its_page_says(service: Service, tmp_path: Path) -> None:
    done = walk("docs/saturation.md", service, tmp_path)

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
    walk("docs/sweeps.md", service, tmp_path, shorter={'"max_steps": 200': '"max_steps": 20'})

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


def test_the_guide_to_losses_shows_which_sum_cancels_the_generator_out(service: Service, tmp_path: Path) -> None:
    done = walk("docs/losses.md", service, tmp_path)

    sums = [[float(number) for number in re.findall(r"= (\S+)", line)] for line in done.stdout.splitlines()]
    assert len(sums) == 4
    assert all(wrong == pytest.approx(d_loss_real, abs=2e-4) for wrong, d_loss_real, _ in sums)


def test_the_guide_to_curves(service: Service, tmp_path: Path) -> None:
    done = walk("docs/curves.md", service, tmp_path)

    assert re.search(r"^collapse +healthy", done.stdout, re.MULTILINE)


def test_the_page_on_forks(service: Service, job: Job, tmp_path: Path) -> None:
    walk("docs/forks.md", service, tmp_path, job=job.id, shorter={"5000": "70"})

    with Client(service.url) as client:
        forks = [fork.wait(timeout_s=300) for fork in client.jobs.list(parent=job.id)]
    assert [(fork.status, fork.step) for fork in forks] == [("succeeded", 70)] * 2


def test_the_page_on_the_diagnosis(service: Service, job: Job, tmp_path: Path) -> None:
    assert '"collapse"' in walk("docs/diagnosis.md", service, tmp_path, job=job.id).stdout


def test_a_receiver_of_webhooks_checks_signatures_as_its_page_says() -> None:
    names: dict[str, Any] = {}
    exec(BLOCK.findall((ROOT / "docs/webhooks.md").read_text())[0][1], names)
    secret = "whsec_" + base64.b64encode(bytes(24)).decode()
    headers = sign(secret, "msg_1", now(), "{}")

    assert names["is_authentic"](secret, headers, b"{}")
    assert not names["is_authentic"](secret, headers, b"[]")


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (["first_job.py", "40"], r"ten threes as numbers: \(10, 1, 8, 8\) from \d+ to \d+"),
        (["own_table.py", "20"], r"mean income in Ulm from 40 to 50: real \d+, made \d+"),
        (["choose_a_loss.py", "ring", "--steps", "8", "--metric", "coverage"], r"(?s)(non_)?saturating +\d.*hinge +\d"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_example(service: Service, tmp_path: Path, example: list[str], said: str) -> None:
    env = {**os.environ, "GANYMEDE_URL": service.url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLES / example[0]), *example[1:]]

    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert re.search(said, done.stdout), done.stdout

"""The README: its tables are those of the code, and its walk with curl walks, as do those of the other pages."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests import readme_tables
from tests.serving import Service

README = readme_tables.README.read_text()


@pytest.mark.parametrize("name", ["endpoints", "settings", "files"])
def test_the_tables_are_up_to_date(name: str) -> None:
    assert readme_tables.current(name) == readme_tables.tables()[name], "run `make readme`"


def test_the_walk_with_curl_can_be_walked(service: Service, tmp_path: Path) -> None:
    (walk,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", walk],
        cwd=tmp_path,
        env={**os.environ, "API": service.url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '"step":[298,299,300]' in done.stdout.replace(" ", "")
    assert "max_steps" in done.stdout.splitlines()[-1]
    history = np.genfromtxt(tmp_path / "losses.csv", delimiter=",", names=True)
    assert list(history["step"]) == list(range(1, 301))
    assert (tmp_path / "losses.svg").read_text().startswith("<svg")
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.format == "PNG"
    assert len(load_file(tmp_path / "generator.safetensors")) > 0


@pytest.mark.slow
def test_the_experiment_on_saturation_shows_what_its_page_says(service: Service, tmp_path: Path) -> None:
    page = (readme_tables.ROOT / "docs" / "saturation.md").read_text()
    (experiment,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", experiment],
        cwd=tmp_path,
        env={**os.environ, "API": service.url},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

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

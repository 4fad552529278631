"""The demonstration: one command, what a training leaves, nothing left running."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from safetensors.numpy import load_file

QUICK = ["loop.max_steps=60", "model.generator.width=16", "model.discriminator.width=16"]


def demonstrate(directory: Path, *changes: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ganymede", "demo", *changes]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(directory)}
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=400, check=False)


def test_the_demo_leaves_four_files_and_touches_no_other_service(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GANYMEDE_DATABASE_URL=postgresql://nowhere/db\n")

    done = demonstrate(tmp_path, *QUICK)

    assert done.returncode == 0, done.stderr
    left = tmp_path / "demo"
    assert sorted(path.name for path in left.iterdir()) == [
        "generator.safetensors",
        "losses.csv",
        "losses.svg",
        "samples.png",
    ]
    assert len((left / "losses.csv").read_text().splitlines()) == 61
    assert (left / "losses.svg").read_text().startswith("<svg")
    assert len(load_file(left / "generator.safetensors")) > 0
    with Image.open(left / "samples.png") as picture:
        assert picture.format == "PNG"
    assert list(tmp_path.glob("ganymede-*")) == []
    assert f"{60:,} of {60:,}" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_demo_of_a_table_leaves_rows(tmp_path: Path) -> None:
    done = demonstrate(tmp_path, "dataset=iris", "loop.max_steps=40", "quality.every_steps=0")

    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "demo" / "samples.csv").read_text().splitlines()) == 1 + 64


def test_a_demo_that_is_refused_says_why_and_ends(tmp_path: Path) -> None:
    done = demonstrate(tmp_path, "loop.max_stepz=40")

    assert (done.returncode, "max_steps" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("ganymede-*")) == []

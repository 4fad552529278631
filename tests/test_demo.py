"""The demonstration: one command, four files, nothing left running."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from safetensors.numpy import load_file

QUICK = ["loop.max_steps=60", "model.generator.width=16", "model.discriminator.width=16"]


def test_the_demo_leaves_four_files_and_touches_no_other_service(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GANYMEDE_DATABASE_URL=postgresql://nowhere/db\n")
    command = [sys.executable, "-m", "ganymede", "demo", *QUICK]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}

    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400, check=False)

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

"""Who may import whom: the contracts hold, they break when violated, and the light processes stay light."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ganymede", "service", "worker", "migrations", "chaos", "benchmarks")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """The packages and their contracts, free to be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("worker/gan/losses.py", "import sqlalchemy"),
        ("worker/gan/losses.py", "import service.store.jobs"),
        ("service/store/jobs.py", "import torch"),
        ("service/store/jobs.py", "import worker.trainer"),
        ("worker/supervisor.py", "import service.app"),
        ("ganymede/client.py", "import flask"),
        ("service/spec/job.py", "import numpy"),
        ("ganymede/up.py", "import chaos.stack"),
        ("worker/main.py", "import benchmarks.quality.bars"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(copied_tree: Path, module: str, forbidden: str) -> None:
    path = copied_tree / module
    path.write_text(f"{path.read_text()}\n{forbidden}\n")

    result = lint_imports(copied_tree)

    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


def test_all_contracts_hold() -> None:
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("service.app", "torch"),
        ("service.app", "sklearn"),
        ("service.server", "torch"),
        ("worker.app", "torch"),
        ("worker.main", "torch"),
        ("worker.supervisor", "torch"),
        ("ganymede.cli", "torch"),
        ("ganymede.client", "flask"),
        ("worker.preload", "onnx"),
        ("worker.gan.exports", "onnxscript"),
        ("worker.gan.training", "flask"),
        ("worker.gan.training", "sqlalchemy"),
    ],
)
def test_a_fresh_interpreter_loads_no_more_than_its_process_needs(module: str, absent: str) -> None:
    program = f"import {module}, sys; sys.exit({absent!r} in sys.modules)"

    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr

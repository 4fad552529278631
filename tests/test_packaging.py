"""What is shipped: the wheel, the pinned versions, the images. Nothing here needs a network or a container engine."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("ganymede", "service", "worker", "migrations")
TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that an image installs, built from a copy of the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, text=True)
    return zipfile.ZipFile(source / done.stdout.splitlines()[-1])


def test_the_wheel_holds_every_module_and_every_file_beside_them(wheel: zipfile.ZipFile) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert ours - set(wheel.namelist()) == set()


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(lines, key=str.lower)
    assert "torch==2.13.0" in lines


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    pinned = {_canonical(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}

    assert {_canonical(re.split(r"[\[<>=~! ]", name)[0]) for name in wanted} - pinned == set()


LEAN = """
import sys
from importlib.machinery import PathFinder

class LeanFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)

absent = set(sys.argv[1].split(","))
sys.meta_path[sys.meta_path.index(PathFinder)] = LeanFinder
import kombu.transport.redis
"""


@pytest.mark.parametrize(
    ("modules", "extra"),
    [
        ("ganymede.demo, ganymede.doctor, ganymede.up, service.server", ""),
        ("worker.main, worker.preload, worker.trainer", "worker"),
    ],
    ids=["web", "worker"],
)
def test_a_process_starts_with_what_is_installed_for_it_alone(modules: str, extra: str) -> None:
    installed = _installed_by(extra)
    absent = [
        name
        for name, homes in metadata.packages_distributions().items()
        if not {_canonical(home) for home in homes} & installed and name not in PACKAGES
    ]
    assert "pytest" in absent
    assert ("torch" in absent) == (extra == "")

    command = [sys.executable, "-c", f"{LEAN}import {modules}", ",".join(absent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _installed_by(extra: str) -> set[str]:
    """Return every distribution that pip installs for this project with an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"].get(extra, [])]
    reached: set[str] = set()
    while waiting:
        needs = waiting.pop()
        if _canonical(needs.name) not in reached and list(metadata.distributions(name=needs.name)):
            reached.add(_canonical(needs.name))
            further = map(Requirement, metadata.requires(needs.name) or [])
            waiting += [requirement for requirement in further if _applies(requirement, needs.extras)]
    return reached


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": name}) for name in extras | {""})


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run([TOOLS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_follows_its_schema() -> None:
    command = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_web_image_has_no_torch() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    web_install = next(stage for stage in stages if " AS web-install" in stage.splitlines()[0])

    assert "[worker]" not in web_install


def test_the_worker_image_can_compile() -> None:
    worker = (ROOT / "Dockerfile").read_text().split("\nFROM runtime AS worker\n")[1].split("\nFROM ")[0]

    assert "g++" in worker.split("apt-get install", 1)[1].split("&&")[0]


def test_compose_asks_for_keys_where_it_listens_on_all_addresses() -> None:
    web = (ROOT / "docker-compose.yml").read_text().split("\n  web:\n")[1].split("\n  worker:\n")[0]

    assert "0.0.0.0" in web
    assert 'GANYMEDE_AUTH: "on"' in web


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

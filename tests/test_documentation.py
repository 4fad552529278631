"""The documentation tells the truth: its numbers, its commands, its variables, its links."""

import re
from pathlib import Path

import click
import pytest

from ganymede.cli import main
from service.settings import Settings
from service.spec.columns import COLUMNS
from service.spec.datasets import DATASETS
from service.spec.objectives import references
from tests import reference
from tests.building import a_spec
from tests.reference import ROOT, openapi_document

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CLIENT_VARIABLES = {"GANYMEDE_URL", "GANYMEDE_KEY"}
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text()


def test_every_recorded_column_is_explained() -> None:
    rows = "".join(re.findall(r"^\| (`[^|]*) \|", CONCEPTS, re.MULTILINE))

    assert [column for column in COLUMNS if f"`{column}`" not in rows] == []


def test_the_equilibria_in_the_table_are_those_of_the_charts() -> None:
    told = re.findall(r"^\| `(\w+)` \|.*= (-?\d\.\d{4}) \|$", CONCEPTS, re.MULTILINE)
    expected = references(a_spec())

    assert len(told) == 7
    assert {column: float(value) for column, value in told} == {
        column: round(expected[column], 4) for column, _ in told
    }


def test_the_moved_equilibrium_of_label_smoothing_is_the_one_computed() -> None:
    moved = references(a_spec(objective={"label_smoothing": 0.1}))

    assert f"D = {moved['d_real']:.2f}, d_loss = {moved['d_loss']:.4f}" in CONCEPTS


def test_the_reductions_change_the_equilibrium_as_told() -> None:
    by_reduction = [
        references(a_spec(objective={"reduction": name}, loop={"batch_size": 64}))["d_loss"]
        for name in ("sum_of_means", "mean", "sum")
    ]

    assert "is {:.3f}, {:.3f} or {:.1f} for a batch of 64".format(*by_reduction) in CONCEPTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_named_exists(page: Path) -> None:
    for words in re.findall(r"(?:^|`|bin/|web )ganymede ((?:[\w-]+[ `\n]?)+)", page.read_text(), re.MULTILINE):
        command: click.Command = main
        for word in words.rstrip("`\n").split():
            if not isinstance(command, click.Group):
                break
            assert word in command.commands, f"{page.name} names `ganymede {words.strip()}`"
            command = command.commands[word]


@pytest.mark.parametrize("file", [*PAGES, ROOT / "docker-compose.yml", ROOT / "Dockerfile"], ids=lambda file: file.name)
def test_every_variable_that_is_named_is_read(file: Path) -> None:
    read = {f"GANYMEDE_{name.upper()}" for name in Settings.model_fields} | CLIENT_VARIABLES

    assert set(re.findall(r"GANYMEDE_[A-Z_]+", file.read_text())) - read == set()


def test_every_path_that_operators_are_sent_to_exists() -> None:
    paths = {re.sub(r"\{\w+\}", "ID", path) for path in openapi_document()["paths"]}
    named = re.findall(r"`(?:GET )?(/[\w/]+)`", (ROOT / "docs" / "operate.md").read_text())

    assert len(named) >= 6
    assert set(named) - paths == set()


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_up_to_date(name: str) -> None:
    assert reference.current(name) == reference.PAGES[name](), "run `make reference`"


def test_every_built_in_data_set_is_named() -> None:
    [line] = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| data |")]

    assert [*DATASETS] == [name for name in DATASETS if f"`{name}`" in line]

"""The tables of the README, made from what they describe. `make readme` writes them; a test tells when they are old."""

import ast
import re
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined
from sqlalchemy import create_engine

from service.app import create_app
from service.blobs import make_blobs
from service.broker import Wakeups
from service.settings import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ROOMS = ("ganymede", "service", "worker", "migrations", "chaos", "benchmarks", "tests")
BESIDE_THE_ROOMS = {
    "Makefile": "The commands: demo, run, test and their set-up.",
    "pyproject.toml": "Dependencies, and the settings of all checks.",
    "constraints.txt": "The exact version of every dependency.",
    "Dockerfile": "Two images: web without torch, and worker.",
    "docker-compose.yml": "PostgreSQL, Valkey, migration, web and workers.",
    ".ci/run": "What a change must pass.",
    "docs/": "Concepts, operation, decisions, and what was measured.",
    "CHANGELOG.md": "What changed, by version.",
    "SECURITY.md": "What is protected, and how to report a hole.",
    "LICENSE": "Apache-2.0.",
}


def tables() -> dict[str, str]:
    """Return each generated part of the README by name."""
    return {"endpoints": endpoint_table(), "settings": setting_table(), "files": file_tree()}


def current(name: str) -> str:
    """Return a part as it stands in the README."""
    return README.read_text().split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0]


def openapi_document() -> dict[str, Any]:
    """Return the document that the web application serves."""
    settings = Settings()
    app = create_app(settings, create_engine("sqlite://"), make_blobs("memory://"), Wakeups(settings))
    answer: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return answer


def endpoint_table() -> str:
    """Return one row per operation with the first line of its documentation."""
    rows = [
        f"| `{method.upper()} {path}` | {operation['summary']} |"
        for path, operations in openapi_document()["paths"].items()
        for method, operation in operations.items()
    ]
    return "\n".join(["| call | what it does |", "|---|---|", *rows]) + "\n"


def setting_table() -> str:
    """Return one row per setting with its default and its description."""
    rows = [
        f"| `GANYMEDE_{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows]) + "\n"


def file_tree() -> str:
    """Return one line per module with the first sentence of its docstring, room by room."""
    lines = [f"{name:<28} {says}" for name, says in BESIDE_THE_ROOMS.items()]
    for room in ROOMS:
        lines.append("")
        lines += sorted(_line(path) for path in (ROOT / room).rglob("*.py"))
    return "```\n" + "\n".join(lines) + "\n```\n"


def _line(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    documentation = ast.get_docstring(ast.parse(path.read_text())) or ""
    if path.name == "__init__.py":
        name = f"{path.parent.relative_to(ROOT).as_posix()}/"
    first_sentence = re.split(r"(?<=\.)(?<! al\.)\s", " ".join(documentation.split()), maxsplit=1)[0]
    return f"{name:<36} {first_sentence}"


def _default(value: object) -> str:
    return "" if value is None or value is PydanticUndefined else f"`{value}`"


def main() -> None:
    """Write the tables into the README."""
    text = README.read_text()
    for name, table in tables().items():
        before, rest = text.split(f"<!-- {name}: begin -->\n")
        text = f"{before}<!-- {name}: begin -->\n{table}<!-- {name}: end -->{rest.split(f'<!-- {name}: end -->')[1]}"
    README.write_text(text)


if __name__ == "__main__":
    main()

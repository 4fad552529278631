"""The pages of docs/reference, made from what they describe: `make reference` writes them, and a test compares them."""

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined
from sqlalchemy import create_engine

from ganymede.exit_codes import MEANING
from service.app import create_app
from service.blobs import make_blobs
from service.broker import Wakeups
from service.settings import Settings
from tests.reference_of_code import describe_client, describe_commands
from tests.reference_of_specs import describe_spec

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "docs" / "reference"
ROOMS = ("ganymede", "service", "worker", "migrations", "chaos", "benchmarks", "tests")
BESIDE_THE_ROOMS = {
    "Makefile": "The commands: demo, run, test and their set-up.",
    "pyproject.toml": "Dependencies, and the settings of all checks.",
    "constraints.txt": "The exact version of every dependency.",
    "Dockerfile": "Two images: web without torch, and worker.",
    "docker-compose.yml": "PostgreSQL, Valkey, migration, web and workers.",
    ".ci/run": "What a change must pass.",
    "docs/": "Tutorial, guides, reference, decisions, and what was measured.",
    "CHANGELOG.md": "What changed, by version.",
    "SECURITY.md": "What is protected, and how to report a hole.",
    "LICENSE": "Apache-2.0.",
}


def openapi_document() -> dict[str, Any]:
    """Return the document that the web application serves."""
    settings = Settings()
    app = create_app(settings, create_engine("sqlite://"), make_blobs("memory://"), Wakeups(settings))
    answer: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return answer


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    head = [*header]
    lines = [head, ["---"] * len(head), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def endpoints() -> str:
    """Return the page of all operations: one row each, with the first line of its documentation."""
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, operations in openapi_document()["paths"].items()
        for method, operation in operations.items()
    ]
    return f"""# The API

JSON in and out. Every refusal is `application/problem+json` with all the faults that could be found, a `code` to
program against and the `request_id` of the log: first those of kinds, bounds and names, all at once, then what only
the data can tell, as a batch that is larger than it. Lists are pages with a cursor, answers carry ETags.

`POST /jobs` with an `Idempotency-Key` (1 to 255 characters) creates one job however often it is sent: repeats get the
first answer, with the header `Idempotent-Replayed`, for as long as the job exists. The same key with another body is a
conflict, 409. A request that was refused uses up no key. Forks and sweeps take it, too.

`/openapi.json` describes every parameter and answer to programs, `/docs` to people, offline.

{table(("call", "what it does"), rows)}"""


def settings() -> str:
    """Return the page of all settings with their defaults."""
    rows = [
        (f"`GANYMEDE_{name.upper()}`", _default(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]
    return f"""# Settings

Environment variables, or lines of a `.env` file. Unset means: use the embedded part.

{table(("variable", "default", "what it is"), rows)}
The console script and the Python client read two more: `GANYMEDE_URL`, the service they talk to, and `GANYMEDE_KEY`,
the key they show.
"""


def console() -> str:
    """Return the page of all commands and of the exit codes."""
    codes = table(("code", "when"), ((code.value, meaning) for code, meaning in MEANING.items()))
    return f"""# The console script

`ganymede`, which `make run` and `make demo` install as `.venv/bin/ganymede`. Every command but `completion` has
`--json`. On a terminal, long work shows how far it is; anywhere else no control characters are printed.

Bash completes commands, options and the ids of jobs after `eval "$(ganymede completion bash)"`, zsh and fish likewise.

{codes}
{describe_commands()}"""


def client() -> str:
    """Return the page of the Python client."""
    return f"""# The Python client

`from ganymede.client import Client`. It needs neither torch nor a database. What the service refuses is raised as
`GanymedeProblem` (`status`, `code`, `faults`), what cannot be reached as `ServiceUnreachable`. Whatever an object was
told last is its `data`, typed as the answer of the API.

A client of every single operation is made by `openapi-python-client generate --url http://127.0.0.1:8000/openapi.json
--config docs/examples/openapi-python-client.yaml`, and for other languages by their generators.

{describe_client()}"""


def spec() -> str:
    """Return the page of the keys of a job's spec."""
    return describe_spec()


def files() -> str:
    """Return the page of all files: one line per module with the first sentence of its docstring, room by room."""
    lines = [f"{name:<28} {says}" for name, says in BESIDE_THE_ROOMS.items()]
    for room in ROOMS:
        lines.append("")
        lines += sorted(_line(path) for path in (ROOT / room).rglob("*.py"))
    tree = "\n".join(lines)
    return f"# Where things are\n\n```\n{tree}\n```\n"


PAGES: dict[str, Callable[[], str]] = {
    "api": endpoints,
    "spec": spec,
    "console": console,
    "python": client,
    "settings": settings,
    "files": files,
}


def current(name: str) -> str:
    """Return a page as it stands in the documentation."""
    return (PLACE / f"{name}.md").read_text()


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
    """Write every page."""
    PLACE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (PLACE / f"{name}.md").write_text(page())


if __name__ == "__main__":
    main()

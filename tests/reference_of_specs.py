"""The reference of a job's spec, made from its schema: what every key may be, its default and what it is."""

import json
from collections.abc import Iterator
from typing import Any

from service.spec.job import JobSpec

SCHEDULES = ("Schedule", "ScheduledValue", "ScheduledFraction", "ScheduledDecay")
BOUNDS = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}


def describe_spec() -> str:
    """Return the page: one table for each part, then the schedules."""
    schema = JobSpec.model_json_schema()
    kinds = schema["$defs"]
    parts = [f"## {path}\n\n{_table(part, kinds, f'{path}.')}" for path, part in _parts("", schema, kinds)]
    schedules = [f"## {name}\n\n{kinds[name]['description']}\n\n{_table(kinds[name], kinds)}" for name in SCHEDULES]
    sections = "\n".join([*parts, *schedules])
    return f"""# The spec of a job

Only `dataset` is required; what is left open follows from the recipe of the data, so that a default here is that of
data without one. `POST /jobs?dry_run=true` shows what a spec comes to, `GET /schema/job` is this as a JSON schema.
Unknown keys are refused with the nearest known name.

{_table(schema, kinds)}
{sections}"""


def _parts(path: str, schema: dict[str, Any], kinds: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects inside an object by their path, each before its own."""
    for key, field in schema["properties"].items():
        name = _reference(field)
        if name and name not in SCHEDULES:
            yield f"{path}{key}", kinds[name]
            yield from _parts(f"{path}{key}.", kinds[name], kinds)


def _reference(field: dict[str, Any]) -> str | None:
    found = [each["$ref"] for each in (field, *field.get("anyOf", ())) if "$ref" in each]
    return found[0].rpartition("/")[2] if found else None


def _table(schema: dict[str, Any], kinds: dict[str, Any], path: str = "") -> str:
    rows = [
        f"| `{key}` | {_kind(field, f'{path}{key}')} | {_default(field)} | {_says(field, kinds)} |"
        for key, field in schema["properties"].items()
    ]
    return "\n".join(["| key | may be | default | what it is |", "|---|---|---|---|", *rows]) + "\n"


def _kind(field: dict[str, Any], path: str) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(each, path) for each in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in SCHEDULES else f"[object](#{_anchor(path)})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    bounds = " and ".join(text.format(_number(field[bound])) for bound, text in BOUNDS.items() if bound in field)
    return " ".join(filter(None, (field["type"], bounds)))


def _anchor(path: str) -> str:
    return path.replace(".", "")


def _number(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field or _reference(field) not in (None, *SCHEDULES):
        return ""
    return f"`{json.dumps(field['default'])}`"


def _says(field: dict[str, Any], kinds: dict[str, Any]) -> str:
    name = _reference(field)
    return str(field.get("description") or (kinds[name]["description"] if name else "")).replace("|", "\\|")

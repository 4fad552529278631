"""A reading as bytes: columnar JSON, JSON lines, CSV and npz. Equal readings give equal bytes."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import orjson

from service.history.reading import Reading
from service.history.segments import Steps, Values

# Rows of text at once: bounds the memory of a download of a long run.
_PIECE_STEPS = 16_384

_T = TypeVar("_T")

_NONFINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def columnar(reading: Reading) -> dict[str, Any]:
    """Return `columns` and `nonfinite` as JSON values for to_json, which writes a non-finite number as null."""
    return {
        "columns": {"step": reading.steps, **_by_column(reading)},
        "nonfinite": {
            column: _nonfinite_by_step(reading.steps, values)
            for column, values in _by_column(reading).items()
            if not np.isfinite(values).all()
        },
    }


def envelope(
    job_id: str, reading: Reading, *, references: Mapping[str, float], reduction: str, eval_point: Mapping[str, str]
) -> dict[str, Any]:
    """Return the whole answer of a losses request; references and eval_point are cut to the columns of the reading."""
    return {
        "job": job_id,
        **columnar(reading),
        "references": _of_columns(references, reading),
        "reduction": reduction,
        "eval_point": _of_columns(eval_point, reading),
        "sampling": {
            "method": reading.method,
            "exact": reading.is_exact,
            "row": reading.row,
            "total_steps": reading.total_steps,
            "returned": len(reading.steps),
        },
        "next_after_step": reading.next_after_step,
    }


def to_json(answer: Mapping[str, Any]) -> bytes:
    """Write an answer that holds arrays; floats have the fewest decimals that round-trip float32."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def to_ndjson(reading: Reading) -> Iterator[bytes]:
    """Write one JSON object a step, `step` first, in pieces; a non-finite number is null."""
    names = (orjson.dumps(column).replace(b"%", b"%%") for column in ("step", *reading.columns))
    line = b"{" + b",".join(name + b":%b" for name in names) + b"}\n"
    for steps, values in _pieces(reading):
        rows = zip(*map(_json_numbers, (steps, *values)), strict=True)
        yield b"".join(map(line.__mod__, rows))


def to_csv(reading: Reading) -> Iterator[bytes]:
    """Write a header and one line a step, `step` first, in pieces; non-finite numbers are nan, inf and -inf."""
    yield ",".join(("step", *reading.columns)).encode() + b"\n"
    for steps, values in _pieces(reading):
        rows = zip(*map(_csv_numbers, (steps, *values)), strict=True)
        yield b"\n".join(map(b",".join, rows)) + b"\n"


def to_npz(reading: Reading) -> bytes:
    """Write `step` as int64 and each column as float32 for numpy.load; the entries carry a fixed date."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("step.npy"), _npy(reading.steps))
        for column, values in _by_column(reading).items():
            archive.writestr(zipfile.ZipInfo(f"{column}.npy"), _npy(values))
    return file.getvalue()


def _by_column(reading: Reading) -> dict[str, Values]:
    return dict(zip(reading.columns, reading.values, strict=True))


def _nonfinite_by_step(steps: Steps, values: Values) -> dict[str, str]:
    places = np.flatnonzero(~np.isfinite(values))
    return {str(steps[place]): _NONFINITE[str(values[place])] for place in places}


def _of_columns(known: Mapping[str, _T], reading: Reading) -> dict[str, _T]:
    return {column: known[column] for column in reading.columns if column in known}


def _pieces(reading: Reading) -> Iterator[tuple[Steps, Values]]:
    for start in range(0, len(reading.steps), _PIECE_STEPS):
        piece = slice(start, start + _PIECE_STEPS)
        yield reading.steps[piece], reading.values[:, piece]


def _json_numbers(array: Steps | Values) -> list[bytes]:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _csv_numbers(array: Steps | Values) -> list[bytes]:
    numbers = _json_numbers(array)
    for place in np.flatnonzero(~np.isfinite(array)):
        numbers[place] = str(array[place]).encode()
    return numbers


def _npy(array: Steps | Values) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()

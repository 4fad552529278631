"""Generators as files for other programs: the formats there are, and what a worker is asked for."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

ExportFormat = Literal["onnx", "torch_export"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
SUFFIXES: dict[ExportFormat, str] = {"onnx": "onnx", "torch_export": "pt2"}
LAYOUT = 1  # of the files: inputs, outputs, metadata. What is stored in one is not sent for what is asked in another.


@dataclass(frozen=True)
class Export:
    """What a generator is to be written as."""

    format: ExportFormat


def export_to_json(export: Export) -> dict[str, Any]:
    """Return an export as JSON can hold it, unlike any drawing."""
    return {"export": export.format, "layout": LAYOUT}


def export_from_json(written: dict[str, Any]) -> Export | None:
    """Read what export_to_json wrote; None for a drawing."""
    return Export(written["export"]) if "export" in written else None

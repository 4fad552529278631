"""Generators as files for other programs: the formats there are, and what a worker is asked for."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from service.spec.drawing import Drawing, drawing_to_json

ExportFormat = Literal["onnx", "torch_export"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
SUFFIXES: dict[ExportFormat, str] = {"onnx": "onnx", "torch_export": "pt2"}
LAYOUT = 1  # of the files: inputs, outputs, metadata. What is stored in one is not sent for what is asked in another.


@dataclass(frozen=True)
class Export:
    """What a generator is to be written as."""

    format: ExportFormat

    @property
    def is_small(self) -> bool:
        """Tell whether it takes moments, as a small drawing does."""
        return False


def work_to_json(work: Drawing | Export) -> dict[str, Any]:
    """Return what a generator is to do as JSON can hold it: equal work, equal JSON."""
    return {"export": work.format, "layout": LAYOUT} if isinstance(work, Export) else drawing_to_json(work)


def export_from_json(written: dict[str, Any]) -> Export | None:
    """Read what work_to_json wrote of an export; None for a drawing."""
    return Export(written["export"]) if "export" in written else None

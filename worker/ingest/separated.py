"""CSV files: UTF-8 with commas, semicolons or tabs, read line by line within bounds."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from service.spec.facts import DatasetFacts
from worker.ingest.bench import Bench
from worker.ingest.columns import MISSING, NUMBER, date_format_of
from worker.ingest.tables import Cells, prepare_table
from worker.ingest.upload import TAKEN, BadUpload, Limits, shown

DELIMITERS = ",;\t"
PIECE_CELLS = 200_000


def prepare_separated(bench: Bench, path: Path) -> DatasetFacts:
    """Prepare a CSV file, with a line of names or without."""
    delimiter = find_delimiter(path, bench.limits)
    first = next(_records(path, delimiter, bench.limits), None)
    if first is None:
        raise BadUpload("empty", "The file holds no lines.")
    named = is_header(first)
    if not named:
        bench.remark(
            "no_header", "The first line holds values, so the columns were named column_1, column_2 and so on."
        )
    names = [(cell.strip() if named else "") or f"column_{number}" for number, cell in enumerate(first, 1)]
    return prepare_table(
        bench, names, lambda: _pieces(path, delimiter, bench.limits, width=len(names), skip=int(named))
    )


def find_delimiter(path: Path, limits: Limits) -> str:
    """Return the delimiter that the first line has most of, outside quotes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = next(_lines(file, limits), "")
    outside = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def is_header(cells: list[str]) -> bool:
    """Tell whether a first line names the columns: some cell is text, none is a number or a date."""
    given = [cell.strip() for cell in cells if cell.strip() not in MISSING]
    return bool(given) and not any(NUMBER.fullmatch(cell) or date_format_of(cell) for cell in given)


def _pieces(path: Path, delimiter: str, limits: Limits, *, width: int, skip: int) -> Iterator[Cells]:
    records = islice(_records(path, delimiter, limits, width=width), skip, None)
    size = max(1, PIECE_CELLS // width)
    while rows := list(islice(records, size)):
        yield [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]


def _records(path: Path, delimiter: str, limits: Limits, *, width: int | None = None) -> Iterator[list[str]]:
    """Yield the cells of each line that is not blank; raises BadUpload with the number of the line."""
    csv.field_size_limit(limits.field_characters)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(_lines(file, limits), delimiter=delimiter, strict=True)
        try:
            for record in reader:
                if not record:
                    continue
                width = _check_width(record, width, reader.line_num, limits)
                yield record
        except csv.Error as error:
            raise BadUpload("malformed", f"Line {reader.line_num + 1} is no CSV: {shown(error)}.") from None


def _check_width(record: list[str], width: int | None, line: int, limits: Limits) -> int:
    if len(record) > limits.columns:
        raise BadUpload(
            "too_many_columns", f"Line {line} has {len(record):,} cells; at most {limits.columns:,} are taken."
        )
    if width is not None and len(record) != width:
        raise BadUpload(
            "ragged", f"Line {line} has {len(record)} cells and the first line {width}; give each line as many."
        )
    return len(record)


def _lines(file: TextIO, limits: Limits) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(limits.line_characters)
        except UnicodeDecodeError:
            what = f"At or after line {number} the file is not UTF-8; save a CSV file as UTF-8, or send {TAKEN}."
            raise BadUpload("not_utf8", what) from None
        if not line:
            return
        if "\0" in line:
            raise BadUpload("nul", f"Line {number} holds a NUL character, which no CSV file does.")
        if len(line) >= limits.line_characters:
            raise BadUpload("line_too_long", f"Line {number} has more than {limits.line_characters:,} characters.")
        yield line

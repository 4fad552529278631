"""Generated rows as CSV that programs and spreadsheets open as they are: numbers, choices, dates, gaps, inert text."""

import csv
import io
from collections.abc import Callable, Sequence

import numpy as np

from service.spec.dates import write_date
from service.spec.facts import ColumnKind, DatasetFacts, TableColumn
from service.spec.tables import CLASS_COLUMN, exported_columns


def write_csv(facts: DatasetFacts, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write a header and a row for each sample; the class stands last, unless it is one of the table's own columns."""
    names = tuple(column.name for column in exported_columns(facts))
    columns = [[as_number(value) for value in column] for column in values.T]
    if facts.table:
        columns = [cells_of(column, numbers) for column, numbers in zip(facts.table, values.T, strict=True)]
    if classes is not None and not facts.label_column:
        names += (CLASS_COLUMN,)
        columns.append([as_text(facts.labels[label]) for label in classes])
    return write_rows(names, columns)


def write_rows(names: Sequence[str], columns: Sequence[Sequence[str]]) -> bytes:
    """Write columns of cells under their names."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)  # ends lines with \r\n, for it quotes just what could be mistaken for its own line ends
    writer.writerow(as_text(name) for name in names)
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue().replace("\r\n", "\n").encode()


def cells_of(column: TableColumn, numbers: np.ndarray) -> list[str]:
    """Write one column as its data is written; a missing cell is empty."""
    write = WRITE[column.kind]
    return ["" if np.isnan(number) else write(column, number) for number in numbers]


def write_continuous(column: TableColumn, number: np.floating) -> str:
    """Write all decimals that the data has, so that a column of them is read as one of fractions."""
    return as_number(number) if column.decimals is None else f"{number + 0.0:.{column.decimals}f}"


def write_choice(column: TableColumn, number: np.floating) -> str:
    """Write the word that the data has for it."""
    return as_text(column.categories[int(number)])


WRITE: dict[ColumnKind, Callable[[TableColumn, np.floating], str]] = {
    "continuous": write_continuous,
    "integer": lambda _, number: str(int(number)),
    "category": write_choice,
    "boolean": write_choice,
    "date": lambda column, number: write_date(float(number), column.date_format),
}


def as_number(value: np.floating) -> str:
    """Write the fewest digits that read back as the same number: 1284, not 1284.0."""
    return np.format_float_positional(value, trim="-")


def as_text(cell: str) -> str:
    """Keep a spreadsheet from reading text as a formula (CWE-1236). Numbers are no text: -1 stays -1."""
    return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell

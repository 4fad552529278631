"""How the columns of a mixed table lie in what networks see, and which of them a sample can be asked for by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.spec.dates import write_date
from service.spec.facts import DatasetFacts, TableColumn

CLASS_COLUMN = "class"  # what the labels are called that are in no column of the data
MOST_LABELS = 20  # a column of more values is not chosen to condition on unless it is named


@dataclass(frozen=True)
class Block:
    """One of `size` choices, one-hot: the value of the column so numbered, or whether its number is missing."""

    column: int
    size: int


@dataclass(frozen=True)
class Layout:
    """The width of a sample is first one number for each column of numbers, in order, then the blocks."""

    numbers: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def choices(self) -> int:
        """Count the units of all blocks."""
        return sum(block.size for block in self.blocks)

    @property
    def width(self) -> int:
        """Count the numbers that a network sees of a row."""
        return len(self.numbers) + self.choices


def is_choice(column: TableColumn) -> bool:
    """Tell whether a column holds one of a few values rather than a number."""
    return column.kind in {"category", "boolean"}


def layout_of(columns: Sequence[TableColumn]) -> Layout:
    """Lay the columns out. A missing cell is a choice of its own, for numbers beside a number that means nothing."""
    return Layout(
        numbers=tuple(number for number, column in enumerate(columns) if not is_choice(column)),
        blocks=tuple(
            Block(number, len(column.categories) + column.missing if is_choice(column) else 2)
            for number, column in enumerate(columns)
            if is_choice(column) or column.missing
        ),
    )


def exported_columns(facts: DatasetFacts) -> tuple[TableColumn, ...]:
    """Return the columns of exported rows: those of the table, else numbers under the data's names or x1, x2, ...

    The range of the latter is not known.
    """
    names = facts.columns or tuple(f"x{number}" for number in range(1, facts.shape[0] + 1))
    return facts.table or tuple(TableColumn(name, "continuous", minimum=-math.inf, maximum=math.inf) for name in names)


def as_written(column: TableColumn, number: float) -> int | float | str:
    """Return a number of a column as the CSV has it: dates as texts, whole numbers as such."""
    if column.kind == "date":
        return write_date(number, column.date_format)
    return int(number) if column.kind == "integer" else number


def lies_in_the_plane(facts: DatasetFacts) -> bool:
    """Tell whether samples are points that can be drawn as they lie."""
    return facts.modality == "vector" and facts.shape == (2,)


def table_shape(columns: Sequence[TableColumn]) -> tuple[int]:
    """Return the shape of a row of a mixed table as the networks see it."""
    return (layout_of(columns).width,)


def label_column_for(columns: Sequence[TableColumn]) -> str:
    """Choose the column whose values samples can be asked for by; empty when none will do.

    It is the last one of few values: where a table has an outcome, it mostly stands at the end.
    """
    fit = [column.name for column in columns if is_choice(column) and 2 <= len(labels_of(column)) <= MOST_LABELS]
    return fit[-1] if fit else ""


def labels_of(column: TableColumn) -> tuple[str, ...]:
    """Return the values of a column as labels; the empty one stands for its missing cells."""
    return (*column.categories, "") if column.missing else column.categories


def label_block(facts: DatasetFacts) -> int | None:
    """Return the number of the block that says the label once more, None when the labels are in no column."""
    blocks = layout_of(facts.table).blocks
    named = (number for number, block in enumerate(blocks) if facts.table[block.column].name == facts.label_column)
    return next(named, None)

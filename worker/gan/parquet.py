"""Generated rows as Parquet: each column in a type of its own, gaps as nulls, equal rows as equal bytes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.spec.conditions import TRUTHS
from service.spec.facts import DAY_FORMAT, DatasetFacts, TableColumn
from service.spec.tables import CLASS_COLUMN, exported_columns


def write_parquet(facts: DatasetFacts, values: np.ndarray, classes: np.ndarray | None) -> bytes:
    """Write a row for each sample; the class stands last, unless it is one of the table's own columns."""
    columns = exported_columns(facts)
    names = [column.name for column in columns]
    arrays = [to_arrow(column, numbers) for column, numbers in zip(columns, values.T, strict=True)]
    if classes is not None and not facts.label_column:
        names.append(CLASS_COLUMN)
        arrays.append(to_arrow(TableColumn(CLASS_COLUMN, "category", facts.labels), classes))
    file = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=names), file)
    written: bytes = file.getvalue().to_pybytes()
    return written


def to_arrow(column: TableColumn, numbers: np.ndarray) -> Any:
    """Turn the numbers by which a column is held into an array of its type; NaN is a null."""
    missing = np.isnan(numbers)
    whole = np.where(missing, 0, numbers)
    match column.kind:
        case "continuous":
            return pa.array(numbers, mask=missing)
        case "integer":
            return pa.array(whole.astype(np.int64), mask=missing)
        case "boolean":
            are_true = np.array([word.lower() in TRUTHS[True] for word in column.categories])
            return pa.array(are_true[whole.astype(np.int64)], mask=missing)
        case "category":
            places = pa.array(whole.astype(np.int32), mask=missing)
            return pa.DictionaryArray.from_arrays(places, pa.array(column.categories, pa.string()))
        case "date" if column.date_format == DAY_FORMAT:
            return pa.array(whole.astype("datetime64[D]"), pa.date32(), mask=missing)
        case "date":
            return pa.array(whole.astype("datetime64[s]"), pa.timestamp("ms"), mask=missing)

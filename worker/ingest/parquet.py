"""Parquet files, read batch by batch as the cells that a CSV file would hold."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from service.spec.facts import DatasetFacts
from worker.ingest.bench import Bench
from worker.ingest.tables import Cells, prepare_table
from worker.ingest.upload import BadUpload, shown

MAGIC = b"PAR1"
PIECE_CELLS = 200_000
MOST_METADATA_BYTES = 64 * 2**20


def prepare_parquet(bench: Bench, path: Path) -> DatasetFacts:
    """Prepare a flat table; columns of lists, structures or bytes are left out with a remark."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        names, cells = _open(bench, path)
        return prepare_table(bench, names, cells)
    except (pa.ArrowException, OSError, OverflowError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine, not of the file
        raise BadUpload("damaged", f"The Parquet file cannot be read: {shown(error)}.") from None


def _open(bench: Bench, path: Path) -> tuple[list[str], Callable[[], Iterator[Cells]]]:
    import pyarrow.parquet as pq

    _check_footer(path)
    with pq.ParquetFile(path) as file:
        _check_metadata(bench, file.metadata)
        kept = [field.name for field in file.schema_arrow if _is_plain(field.type)]
        left_out = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
    for name in left_out:
        bench.remark("nested_column", f"The column {shown(name)} holds no plain values and was left out.")
    size = max(1, PIECE_CELLS // max(1, len(kept)))

    def pieces() -> Iterator[Cells]:
        with pq.ParquetFile(path) as opened:
            for batch in opened.iter_batches(batch_size=size, columns=kept, use_threads=False):
                if batch.num_rows:
                    yield [[_cell(value) for value in column.to_pylist()] for column in batch.columns]

    return kept, pieces


def _check_footer(path: Path) -> None:
    """Refuse metadata that would be large in memory before anything reads it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read()
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or tail[4:] != MAGIC or length > min(size - 12, MOST_METADATA_BYTES):
        raise BadUpload("damaged", "The Parquet file does not end as one does; it was probably cut off. Send it again.")


def _check_metadata(bench: Bench, metadata: Any) -> None:
    limits = bench.limits
    if metadata.num_columns > limits.columns:
        message = f"The table has {metadata.num_columns:,} columns; at most {limits.columns:,} are taken."
        raise BadUpload("too_many_columns", message)
    if metadata.num_rows * max(1, metadata.num_columns) * 8 > limits.prepared_bytes:
        raise BadUpload("too_large", f"The data set is larger than {limits.prepared_bytes:,} bytes once prepared.")
    for number in range(metadata.num_row_groups):
        if metadata.row_group(number).total_byte_size > limits.row_group_bytes:
            message = f"Row group {number} has more than {limits.row_group_bytes:,} bytes; write smaller row groups."
            raise BadUpload("row_group_too_large", message)


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string,
            types.is_date, types.is_timestamp, types.is_decimal,
        )
    )  # fmt: skip


def _cell(value: Any) -> str:
    """Write a value as a CSV file would hold it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dt.datetime():
            return value.replace(tzinfo=None, microsecond=0).isoformat(" ")
        case dt.date():
            return value.isoformat()
        case _:
            return str(value).strip().replace("\0", "")

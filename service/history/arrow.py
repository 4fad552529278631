"""A reading as Arrow and Parquet. They need pyarrow, which workers bring and web processes may lack."""

from importlib.util import find_spec
from typing import Any

from service.history.reading import Reading


def is_installed() -> bool:
    """Tell whether pyarrow can be imported; it is not imported for that."""
    return find_spec("pyarrow") is not None


def to_arrow(reading: Reading) -> bytes:
    """Write an IPC file: `step` as int64 and each column as float32."""
    import pyarrow as pa

    table, sink = _table(reading), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return bytes(sink.getvalue())


def to_parquet(reading: Reading) -> bytes:
    """Write a Parquet file: `step` as int64 and each column as float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(_table(reading), sink, compression="zstd")
    return bytes(sink.getvalue())


def _table(reading: Reading) -> Any:
    import pyarrow as pa

    arrays = [pa.array(each) for each in (reading.steps, *reading.values)]
    return pa.Table.from_arrays(arrays, names=["step", *reading.columns])

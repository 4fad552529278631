"""Rows as Parquet: what a reader gets back is what the CSV says, in types."""

import datetime as dt
import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from service.spec.datasets import SURVEY, WINE
from service.spec.facts import DatasetFacts, TableColumn
from service.spec.job import DatasetRef
from worker.gan.data.registry import open_dataset
from worker.gan.parquet import write_parquet
from worker.gan.spreadsheets import write_csv


def survey_rows() -> np.ndarray:
    data = open_dataset(DatasetRef(name="survey"))
    return data.to_data_units(data.specimens(500))


def test_a_table_reads_back_as_its_csv_does_with_types() -> None:
    rows = survey_rows()

    table = pq.read_table(io.BytesIO(write_parquet(SURVEY, rows, None)))

    types = {field.name: str(field.type) for field in table.schema}
    assert (types["age"], types["income"], types["joined"]) == ("int64", "double", "date32[day]")
    assert (types["owns_home"], types["contract"].partition("<")[0]) == ("bool", "dictionary")
    told = pd.read_csv(io.BytesIO(write_csv(SURVEY, rows, None)), keep_default_na=False, dtype=str)
    for column in SURVEY.table:
        cells, words = table[column.name], told[column.name]
        if column.kind in ("integer", "continuous"):
            assert np.array_equal(cells.to_numpy(), pd.to_numeric(words), equal_nan=True)
        else:
            spelled = {None: "", True: "yes", False: "no"}
            assert [spelled.get(cell, str(cell)) for cell in cells.to_pylist()] == words.tolist()


def test_vectors_keep_their_precision_and_the_class_stands_last_as_a_word() -> None:
    rows = np.arange(26, dtype=np.float32).reshape(2, 13) / 3

    table = pq.read_table(io.BytesIO(write_parquet(WINE, rows, np.array([2, 0]))))

    assert table.column_names == [*WINE.columns, "class"]
    assert np.array_equal(np.stack([table[name].to_numpy() for name in WINE.columns], axis=1), rows)
    assert str(table.schema.field("alcohol").type) == "float"
    assert table["class"].to_pylist() == ["class_2", "class_0"]


def test_moments_are_timestamps() -> None:
    column = TableColumn("at", "date", missing=True, date_format="%Y-%m-%d %H:%M:%S")
    facts = DatasetFacts("log", "table", (2,), 2, "", columns=("at",), table=(column,))

    table = pq.read_table(io.BytesIO(write_parquet(facts, np.array([[-1.0], [np.nan]]), None)))

    assert table["at"].to_pylist() == [dt.datetime.fromisoformat("1969-12-31T23:59:59"), None]


def test_equal_rows_give_equal_bytes() -> None:
    assert write_parquet(SURVEY, survey_rows(), None) == write_parquet(SURVEY, survey_rows(), None)

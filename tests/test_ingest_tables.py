"""Tables and vectors as they are uploaded: CSV, Parquet, arrays of rows."""

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.uploads import labels_of, make_npy, prepare_bytes, rows_of
from worker.ingest.upload import BadUpload, Limits, Options, Prepared

PEOPLE = "age,height,member,colour,born,bill\n" + "".join(
    f"{20 + n % 7},{1.5 + n / 100:.2f},{'yes' if n % 2 else 'no'},{['red', 'blue', '=1+1'][n % 3]},"
    f"2001-02-{n + 1:02},{'' if n == 3 else n * 1.25}\n"
    for n in range(20)
)


def test_the_columns_of_a_csv_file_are_recognised(tmp_path: Path) -> None:
    prepared = prepare_bytes(PEOPLE.encode(), tmp_path)

    columns = {column.name: column for column in prepared.facts.table}
    assert {name: column.kind for name, column in columns.items()} == {
        "age": "integer", "height": "continuous", "member": "boolean",
        "colour": "category", "born": "date", "bill": "continuous",
    }  # fmt: skip
    assert columns["colour"].categories == ("=1+1", "blue", "red")
    assert (columns["height"].decimals, columns["height"].minimum, columns["height"].maximum) == (2, 1.5, 1.69)
    assert [name for name, column in columns.items() if column.missing] == ["bill"]
    assert columns["born"].minimum == (pd.Timestamp("2001-02-01") - pd.Timestamp(0)).days


def test_the_rows_of_a_csv_file_are_numbers(tmp_path: Path) -> None:
    prepared = prepare_bytes(PEOPLE.encode(), tmp_path)

    rows, frame = rows_of(tmp_path), pd.read_csv(io.StringIO(PEOPLE))
    assert rows.dtype == np.float64
    assert np.array_equal(rows[:, 0], frame["age"])
    assert np.array_equal(rows[:, 5], frame["bill"], equal_nan=True)
    assert [prepared.facts.table[3].categories[int(code)] for code in rows[:, 3]] == list(frame["colour"])
    assert (prepared.facts.label_column, prepared.facts.labels) == ("colour", ("=1+1", "blue", "red"))
    assert prepared.facts.label_counts == (6, 7, 7)
    assert labels_of(tmp_path) == [int(code) for code in rows[:, 3]]


def test_the_preview_of_a_table_is_its_head_with_inert_text(tmp_path: Path) -> None:
    prepared = prepare_bytes(PEOPLE.encode(), tmp_path)

    lines = (tmp_path / "prepared" / prepared.preview).read_text().splitlines()
    assert lines[:4] == [
        "age,height,member,colour,born,bill",
        "20,1.50,no,red,2001-02-01,0.00",
        "21,1.51,yes,blue,2001-02-02,1.25",
        "22,1.52,no,'=1+1,2001-02-03,2.50",
    ]
    assert lines[4].endswith("2001-02-04,")


def test_semicolons_tabs_marks_and_missing_names_are_understood(tmp_path: Path) -> None:
    for number, delimiter in enumerate(";\t"):
        directory = tmp_path / str(number)
        directory.mkdir()
        text = "\ufeff" + "\r\n".join(delimiter.join((str(n), f"{n / 4}", '"a, b"')) for n in range(9))
        prepared = prepare_bytes(text.encode(), directory)

        assert prepared.facts.columns == ("column_1", "column_2", "column_3")
        assert {remark.code for remark in prepared.remarks} == {"no_header", "constant_column", "numbering_column"}
        assert rows_of(directory)[8, 1] == 2.0


def test_a_column_of_few_long_texts_is_text(tmp_path: Path) -> None:
    lines = ["size,essay", *(f"{n % 5},{'long ' * 60}{n % 3}" for n in range(300))]

    prepared = prepare_bytes("\n".join(lines).encode(), tmp_path)

    assert prepared.facts.columns == ("size",)
    assert [remark.code for remark in prepared.remarks] == ["text_column"]


def test_text_and_empty_columns_are_left_out_and_told(tmp_path: Path) -> None:
    lines = ["name,size,nothing", *(f"somebody {n},{n % 5},NA" for n in range(300))]

    prepared = prepare_bytes("\n".join(lines).encode(), tmp_path)

    assert prepared.facts.columns == ("size",)
    assert {remark.code for remark in prepared.remarks} == {"text_column", "empty_column"}


def cells_of(prepared: Prepared, directory: Path, column: str) -> list[str]:
    """Return a column as the preview writes it."""
    preview = (directory / "prepared" / prepared.preview).read_text()
    return [row[column] for row in csv.DictReader(io.StringIO(preview))]


@pytest.mark.parametrize(
    ("cells", "kind", "plain", "looks"),
    [
        (["1.234,50", "7,25", "-3"], "continuous", ["1234.50", "7.25", "-3.00"], "a decimal comma"),
        (["1,234.50", "7.25", "-3"], "continuous", ["1234.50", "7.25", "-3.00"], "commas between thousands"),
        (["$335.32", "-$1,200.00", "$5"], "continuous", ["335.32", "-1200.00", "5.00"], "money"),
        (["3,50 €", "1.200 €", "5 €"], "continuous", ["3.50", "1200.00", "5.00"], "money with a decimal comma"),
        (["37%", "8 %", "100%"], "integer", ["37", "8", "100"], "percentages"),
        (["01.02.2021", "3.4.1999", "31.12.2020"], "date", ["2021-02-01", "1999-04-03", "2020-12-31"], "the day first"),
        (["3/15/2021", "12/1/1999", "1/2/2020"], "date", ["2021-03-15", "1999-12-01", "2020-01-02"], "month first"),
        (["15/3/2021", "1/12/1999", "2/1/2020"], "date", ["2021-03-15", "1999-12-01", "2020-01-02"], "day first"),
        (["2021/3/15", "1999/12/1", "2020/1/2"], "date", ["2021-03-15", "1999-12-01", "2020-01-02"], "the year first"),
        (["5", "-", "7.5"], "continuous", ["5.0", "", "7.5"], "for gaps"),
        (["2021-03-15", "-", "2020-01-02"], "date", ["2021-03-15", "", "2020-01-02"], "for gaps"),
        (["€7", "\N{EN DASH}", "€8"], "integer", ["7", "", "8"], "for gaps"),
    ],
)
def test_numbers_and_dates_in_other_spellings_are_read_as_plain_ones_and_told(
    tmp_path: Path, cells: list[str], kind: str, plain: list[str], looks: str
) -> None:
    table = "n;x\n" + "".join(f"{n * n};{cells[n % 3]}\n" for n in range(9))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert prepared.facts.table[1].kind == kind
    assert cells_of(prepared, tmp_path, "x") == plain * 3
    [remark] = prepared.remarks
    assert (remark.code, looks in remark.message) == ("respelled_column", True)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["3/4/2021", "5/6/2020", "1/2/2019"], "day first or dates with the month first"),
        (["1,234", "5,678", "-9,012"], "a decimal comma or numbers with commas between thousands"),
    ],
)
def test_a_spelling_that_may_mean_two_things_is_left_alone_and_told(
    tmp_path: Path, cells: list[str], words: str
) -> None:
    table = "n;x\n" + "".join(f"{n * n};{cells[n % 3]}\n" for n in range(9))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert prepared.facts.table[1].categories == tuple(sorted(cells))
    [remark] = prepared.remarks
    assert (remark.code, words in remark.message) == ("ambiguous_column", True)


@pytest.mark.parametrize(
    "cells", [["$5", "€6", "7"], ["+", "-", "0+"], ["01.02.2021", "31.02.2021", "1.1.2020"], ["007", "-", "008"]]
)
def test_words_stay_words(tmp_path: Path, cells: list[str]) -> None:
    table = "n;x\n" + "".join(f"{n * n};{cells[n % 3]}\n" for n in range(9))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert {*prepared.facts.table[1].categories} == {*cells}
    assert prepared.remarks == ()


def test_one_cell_that_is_spelled_otherwise_makes_text_of_a_long_column(tmp_path: Path) -> None:
    table = "n;x\n" + "".join(f"{n * n};{n},5\n" for n in range(3_000)) + "1;many\n"

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert [(remark.code, '"0,5"' in remark.message) for remark in prepared.remarks] == [("text_column", True)]


def test_a_named_column_of_whole_numbers_becomes_the_labels(tmp_path: Path) -> None:
    prepared = prepare_bytes(PEOPLE.encode(), tmp_path, Options(label="age"))

    assert prepared.facts.labels == ("20", "21", "22", "23", "24", "25", "26")
    assert prepared.facts.label_column == "age"
    assert labels_of(tmp_path)[:8] == [0, 1, 2, 3, 4, 5, 6, 0]


def test_numbers_that_code_something_keep_their_zeros(tmp_path: Path) -> None:
    lines = ["code,n", *(f"{n % 3:03},{n}" for n in range(30))]

    prepared = prepare_bytes("\n".join(lines).encode(), tmp_path)

    assert prepared.facts.table[0].categories == ("000", "001", "002")


def test_a_csv_of_numbers_can_be_vectors(tmp_path: Path) -> None:
    lines = ["x,y,kind", *(f"{n / 8},{n},{'ab'[n % 2]}" for n in range(10))]

    prepared = prepare_bytes("\n".join(lines).encode(), tmp_path, Options(modality="vector", label="kind"))

    assert (prepared.facts.modality, prepared.facts.shape, prepared.facts.labels) == ("vector", (2,), ("a", "b"))
    assert rows_of(tmp_path).dtype == np.float32
    assert labels_of(tmp_path) == [0, 1] * 5


def test_parquet_and_csv_of_one_table_are_prepared_alike(tmp_path: Path) -> None:
    frame = pd.read_csv(io.StringIO(PEOPLE), dtype={"colour": "category"}, parse_dates=["born"])
    file = io.BytesIO()
    frame.assign(born=frame["born"].dt.date).to_parquet(file, row_group_size=7)
    for name in ("csv", "parquet"):
        (tmp_path / name).mkdir()

    as_csv = prepare_bytes(PEOPLE.encode(), tmp_path / "csv")
    as_parquet = prepare_bytes(file.getvalue(), tmp_path / "parquet")

    kinds = [[column.kind for column in one.facts.table] for one in (as_csv, as_parquet)]
    assert kinds[0] == kinds[1]
    assert np.array_equal(rows_of(tmp_path / "csv"), rows_of(tmp_path / "parquet"), equal_nan=True)


def test_vectors_are_stored_as_they_are(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(30, 4))

    prepared = prepare_bytes(make_npy(points), tmp_path)

    assert (prepared.facts.modality, prepared.facts.shape) == ("vector", (4,))
    assert np.array_equal(rows_of(tmp_path), points.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "empty", "empty"),
        ("a,b\n1,2\n3\n", "ragged", "Line 3 has 1 cells"),
        ("a,b\n1,2\n3,\0\n", "nul", "Line 3"),
        ("a,a\n" + "1,2\n" * 9, "repeated_column", '"a"'),
        ("a,b\n1,2\n", "too_few", "1 rows"),
        ('a,b\n1,"' + "x" * 200 + '"\n', "malformed", "Line"),
        ("a,b\n" + "1,2\n" * 5 + '"3,4\n', "malformed", "Line"),
        ("a\n" + "".join(f"text {n}\n" for n in range(50)), "nothing_to_learn", "numbers"),
        (",".join(map(str, range(30))), "too_many_columns", "30"),
        ("PK\3\4" + "x" * 50, "damaged", "cut off"),
        ("[1, 2, 3]", "unknown_format", "JSON"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, code: str, words: str) -> None:
    with pytest.raises(BadUpload) as refused:
        prepare_bytes(text.encode(), tmp_path, limits=Limits(columns=20, field_characters=100))

    assert refused.value.code == code
    assert words in str(refused.value)


def test_text_of_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match=r"after line 1 the file is not UTF-8.*PNG"):
        prepare_bytes("name,n\nMüller,1\n".encode("latin-1"), tmp_path)


def test_a_label_that_is_no_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match=r'no column "color".*did you mean "colour"\?.* "age", "height"'):
        prepare_bytes(PEOPLE.encode(), tmp_path, Options(label="color"))


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (PEOPLE.encode(), Options(sample_rate=8_000, seconds=1.0), ["sample_rate means nothing for table", "seconds"]),
        (make_npy(np.arange(24.0).reshape(12, 2)), Options(label="x"), ["label means nothing for vector"]),
        (PEOPLE.encode(), Options(label="colour"), []),
    ],
)
def test_an_option_that_means_nothing_to_what_came_is_told(
    tmp_path: Path, data: bytes, options: Options, words: list[str]
) -> None:
    prepared = prepare_bytes(data, tmp_path, options)

    told = [remark.message for remark in prepared.remarks if remark.code == "option_unused"]
    assert len(told) == len(words)
    assert all(word in message for word, message in zip(words, told, strict=True))


def test_a_spelling_is_not_taken_where_one_cell_of_many_is_written_otherwise(tmp_path: Path) -> None:
    cells = [f"{n / 10}%" for n in range(1_500)] + ["99.5"]
    table = "n;x\n" + "".join(f"{n * n};{cell}\n" for n, cell in enumerate(cells))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert [column.name for column in prepared.facts.table] == ["n"]
    assert [remark.code for remark in prepared.remarks] == ["text_column"]


def test_all_cells_decide_between_spellings_of_which_the_first_thousand_tell_nothing(tmp_path: Path) -> None:
    first = date(2005, 1, 1)
    days = [first + timedelta(days=number) for number in range(3_000)]
    table = "n;x\n" + "".join(f"{n * n};{day:%d/%m/%Y}\n" for n, day in enumerate(days))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert prepared.facts.table[1].kind == "date"
    assert cells_of(prepared, tmp_path, "x")[1] == "2005-01-02"
    assert [remark.code for remark in prepared.remarks] == ["respelled_column"]


def test_gaps_behind_more_numbers_than_a_scan_keeps_are_told(tmp_path: Path) -> None:
    cells = ["0.5", "\N{EN DASH}", *(f"{n + 1.5}" for n in range(1_500))]
    table = "n;x\n" + "".join(f"{n * n};{cell}\n" for n, cell in enumerate(cells))

    prepared = prepare_bytes(table.encode(), tmp_path)

    assert cells_of(prepared, tmp_path, "x")[1] == ""
    [remark] = prepared.remarks
    assert remark.message.endswith("has dashes for gaps.")

"""Mixed tables: how their columns lie before the networks, there and back, and what is exported of them."""

from service.spec.facts import DatasetFacts, TableColumn
from service.spec.tables import Block, label_block, label_column_for, labels_of, layout_of, table_shape

COLUMNS = (
    TableColumn("id", "category", tuple(f"row {number}" for number in range(30))),
    TableColumn("job", "category", ("baker", "smith"), missing=True),
    TableColumn("age", "integer", decimals=0, minimum=0, maximum=99),
    TableColumn("paid", "boolean", ("no", "yes")),
    TableColumn("wage", "continuous", decimals=2, missing=True, minimum=0, maximum=1e6),
)


def test_numbers_lie_first_and_each_choice_and_each_gap_is_a_block() -> None:
    layout = layout_of(COLUMNS)

    assert layout.numbers == (2, 4)
    assert layout.blocks == (Block(0, 30), Block(1, 3), Block(3, 2), Block(4, 2))
    assert table_shape(COLUMNS) == (2 + 30 + 3 + 2 + 2,)


def test_the_last_column_of_few_values_is_the_one_to_ask_by() -> None:
    assert label_column_for(COLUMNS) == "paid"
    assert label_column_for(COLUMNS[:3]) == "job"
    assert label_column_for((COLUMNS[0], COLUMNS[2], COLUMNS[4])) == ""


def test_a_gap_is_a_label_too() -> None:
    assert labels_of(COLUMNS[1]) == ("baker", "smith", "")
    assert labels_of(COLUMNS[3]) == ("no", "yes")


def test_the_block_of_the_label_is_found_by_its_column() -> None:
    inside = DatasetFacts("t", "table", (39,), 50, "", ("no", "yes"), table=COLUMNS, label_column="paid")
    beside = DatasetFacts("t", "table", (39,), 50, "", ("no", "yes"), table=COLUMNS)

    assert label_block(inside) == 2
    assert label_block(beside) is None

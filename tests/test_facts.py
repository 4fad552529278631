"""What is known of a data set, as JSON."""

from service.spec.facts import DAY_FORMAT, DatasetFacts, TableColumn, facts_from_json, facts_to_json


def test_the_columns_of_a_table_survive_json() -> None:
    columns = (
        TableColumn("age", "integer", decimals=0, missing=True, minimum=0, maximum=99),
        TableColumn("colour", "category", ("red", "blue"), maximum=1),
        TableColumn("born", "date", date_format=DAY_FORMAT, minimum=-365, maximum=20_000),
    )
    facts = DatasetFacts("people", "table", (3,), 10, "00", columns=("age", "colour", "born"), table=columns)

    assert facts_from_json(facts_to_json(facts)) == facts

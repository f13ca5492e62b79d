import pytest

from echoaudit.outcomes import OUTCOMES
from echoaudit.outcomes.schema import Column, Schema

TABLE = Schema(
    "things",
    "Things.",
    (
        Column("name", "string", "What it is."),
        Column("count", "int", "How many."),
        Column("weight", "float", "How heavy.", "kg"),
        Column("good", "bool", "Whether it is good."),
    ),
)


def row(**change):
    return {"name": "a", "count": 1, "weight": 0.5, "good": True} | change


def test_empty_table_has_types():
    assert [str(kind) for kind in TABLE.empty().dtypes] == ["string", "Int64", "float64", "boolean"]
    assert TABLE.empty().columns.tolist() == TABLE.names


def test_rows_in_any_order_give_the_same_table():
    rows = [row(name=name, count=count) for name in "cab" for count in (10, 9, None)]
    there, back = TABLE.conform(rows), TABLE.conform(reversed(rows))
    assert there.equals(back)
    assert there["name"].tolist() == list("aaabbbccc")
    assert there["count"].tolist()[:2] == [9, 10]
    assert TABLE.conform(there.iloc[::-1]).equals(there)


def test_missing_values_stay_missing():
    table = TABLE.conform([dict.fromkeys(TABLE.names)])
    assert table.isna().all(axis=None)
    assert table.dtypes.equals(TABLE.empty().dtypes)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"count": "many"}, "column count"),
        ({"count": 1.5}, "column count"),
        ({"weight": "heavy"}, "column weight"),
        ({"colour": "red"}, "unknown \\['colour'\\]"),
    ],
)
def test_wrong_rows_are_refused(bad, says):
    with pytest.raises(ValueError, match=says):
        TABLE.conform([row(), row(**bad)])


def test_a_row_that_lacks_a_column_is_refused():
    rows = [row(), row()]
    del rows[1]["weight"]
    with pytest.raises(ValueError, match="missing \\['weight'\\]"):
        TABLE.conform(rows)


def test_outcomes_are_named_after_their_modules():
    assert {name: f"echoaudit.outcomes.{name}" for name in OUTCOMES} == OUTCOMES

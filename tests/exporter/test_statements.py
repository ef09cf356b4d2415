"""Statements compiled once, on a real SQLite in memory."""

import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from exporter.statements import Rows, Statement

PART = sa.Table(
    "part",
    sa.MetaData(),
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("bin", sa.Text),
)
_p = PART.c
ADD = Statement(sa.insert(PART))
ALL = Statement(sa.select(PART).order_by(_p.no))
NAMED = Statement(sa.select(_p.no).where(_p.name == sa.bindparam("called")))
TWICE = Statement(sa.select(_p.no).where(sa.or_(_p.name == sa.bindparam("word"), _p.bin == sa.bindparam("word"))))
OF_BINS = Statement(sa.select(_p.no).where(sa.or_(_p.bin == "a", _p.bin == "b"), _p.name == sa.bindparam("called")))
COUNTED = Statement(sa.select(_p.bin, sa.func.count()).group_by(_p.bin).order_by(_p.bin))
MOVE = Statement(sa.update(PART).where(_p.bin == sa.bindparam("b")).values(bin=sa.bindparam("to")))


@pytest.fixture
def rows() -> Iterator[Rows]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE part (no INTEGER PRIMARY KEY, name TEXT NOT NULL, bin TEXT)")
    rows = Rows(connection.cursor(), "sqlite")
    rows.many(ADD, [{"no": no, "name": f"part {no}", "bin": "ab"[no % 2]} for no in range(1, 6)])
    yield rows
    connection.close()


def test_rows_come_back_as_named_tuples_of_the_columns(rows: Rows) -> None:
    first = rows.one(ALL)
    assert (first.no, first.name, first.bin) == first == (1, "part 1", "b")
    assert [row.no for row in rows.all(ALL)] == [1, 2, 3, 4, 5]


def test_a_column_without_a_name_does_not_hide_the_others(rows: Rows) -> None:
    assert [(row.bin, row[1]) for row in rows.all(COUNTED)] == [("a", 2), ("b", 3)]


def test_nothing_found_is_none(rows: Rows) -> None:
    assert rows.one(NAMED, called="x") is None
    assert rows.value(NAMED, called="x") is None
    assert rows.all(NAMED, called="x") == []


def test_a_value_is_the_first_column_of_the_first_row(rows: Rows) -> None:
    assert rows.value(NAMED, called="part 3") == 3


def test_a_run_tells_how_many_rows_it_changed(rows: Rows) -> None:
    assert rows.run(MOVE, b="b", to="c") == 3
    assert rows.run(MOVE, b="b", to="c") == 0


@pytest.mark.parametrize(
    ("statement", "given", "found"),
    [
        (NAMED, {"called": "part 2"}, [2]),
        (NAMED, {"called": "part 2", "more": 1}, [2]),
        (NAMED, {"called": "x' OR 1=1 --"}, []),
        (TWICE, {"word": "a"}, [2, 4]),
        (TWICE, {"word": "part 1"}, [1]),
        (OF_BINS, {"called": "part 5"}, [5]),
    ],
)
def test_parameters_are_given_by_name(
    rows: Rows, statement: Statement, given: dict[str, object], found: list[int]
) -> None:
    assert [row.no for row in rows.all(statement, **given)] == found


def test_a_parameter_that_is_not_given_is_named(rows: Rows) -> None:
    with pytest.raises(KeyError, match="called"):
        rows.one(NAMED, cold="part 1")
    with pytest.raises(KeyError, match="name"):
        rows.many(ADD, [{"no": 9, "bin": None}])


def test_a_stream_comes_in_blocks(rows: Rows) -> None:
    assert [[row[0] for row in block] for block in rows.stream(ALL, size=2)] == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(("dialect", "mark"), [("sqlite", "?"), ("postgresql", "%s")])
@pytest.mark.parametrize(
    ("statement", "names"),
    [(NAMED, ("called",)), (TWICE, ("word", "word")), (MOVE, ("to", "b")), (ADD, ("no", "name", "bin"))],
)
def test_the_same_statement_serves_each_database(
    statement: Statement, names: tuple[str, ...], dialect: str, mark: str
) -> None:
    text, order, given = statement.text(dialect)
    assert (order, given, text.count(mark)) == (names, {}, len(names))
    assert statement.text(dialect)[0] is text


def test_values_that_stand_in_a_statement_need_not_be_given() -> None:
    text, order, given = OF_BINS.text("postgresql")
    assert sorted(given.values()) == ["a", "b"]
    assert set(order) == {"called", *given}
    assert text.count("%s") == 3

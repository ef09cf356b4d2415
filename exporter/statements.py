"""SQL written with SQLAlchemy Core, compiled once a dialect and then run on the driver's cursor.

Core costs 20 to 33 us a statement when it executes, the same statement compiled once 5 to 8. The price: values pass
unconverted, so columns are integers and text, and JSON is text that the slice encodes. A list of values (IN) has no
fixed text, so it is spelled with or_.
"""

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


class Statement:
    """One Core statement; rows come back as named tuples of its columns."""

    __slots__ = ("_compiled", "_core", "_row")

    def __init__(self, core: ClauseElement):
        self._core = core
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        columns = getattr(core, "exported_columns", None)
        names = [column.name for column in columns] if columns else []
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._row = row._make

    def text(self, dialect: str) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """The SQL, the names of its parameters in order, and the values that stand in the statement itself."""
        compiled = self._compiled.get(dialect)
        if compiled is None:
            done: Any = self._core.compile(dialect=DIALECTS[dialect])
            names = tuple(done.positiontup or ())
            given = {n: v for n, v in done.params.items() if not (n in done.binds and done.binds[n].required)}
            compiled = self._compiled[dialect] = (str(done), names, given)
        return compiled

    def row(self, values: Any) -> Any:
        return self._row(values)


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Any = ...) -> Any: ...
    def executemany(self, sql: str, parameters: Any) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchmany(self, size: int) -> list[Any]: ...


class Rows:
    """Runs statements on one connection. Parameters are given by name."""

    def __init__(self, cursor: Cursor, dialect: str):
        self.cursor, self.dialect = cursor, dialect

    def run(self, statement: Statement, **values: Any) -> int:
        """How many rows were changed."""
        sql, names, defaults = statement.text(self.dialect)
        self.cursor.execute(sql, [values[n] if n in values else defaults[n] for n in names])
        return self.cursor.rowcount

    def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        sql, names, defaults = statement.text(self.dialect)
        self.cursor.executemany(sql, [[row[n] if n in row else defaults[n] for n in names] for row in rows])

    def one(self, statement: Statement, **values: Any) -> Any:
        """The first row. None: there is none."""
        self.run(statement, **values)
        row = self.cursor.fetchone()
        return None if row is None else statement.row(row)

    def all(self, statement: Statement, **values: Any) -> list[Any]:
        self.run(statement, **values)
        return [statement.row(row) for row in self.cursor.fetchall()]

    def value(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row. None: there is no row, or it is null."""
        self.run(statement, **values)
        row = self.cursor.fetchone()
        return None if row is None else row[0]

    def stream(self, statement: Statement, size: int = 1000, **values: Any) -> Iterator[list[Any]]:
        """Raw rows in blocks; the cursor is taken until the last."""
        self.run(statement, **values)
        while block := self.cursor.fetchmany(size):
            yield block

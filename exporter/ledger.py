"""The ledger: every fact once, in the order of its commit, numbered 1, 2, 3 ... without a hole.

A counter row is raised by the transaction's last statement, so a reader that saw n and asks for what comes after n
misses nothing and can check itself. The epoch names this ledger: another one begins with a restore of a backup.
"""

import secrets
from collections.abc import Callable, Mapping

import msgspec
import sqlalchemy as sa

from exporter.contract import Fact, FactKind
from exporter.statements import Rows, Statement

TABLES = sa.MetaData()
FACT = sa.Table(
    "ledger",
    TABLES,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
HEAD = sa.Table(
    "ledger_head",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("born_at", sa.BigInteger, nullable=False),
)
_columns = (FACT.c.seq, FACT.c.kind, FACT.c.occurred_at, FACT.c.recorded_at, FACT.c.by, FACT.c.data)
_after = sa.select(*_columns).where(FACT.c.seq > sa.bindparam("after")).order_by(FACT.c.seq)
APPEND = Statement(sa.insert(FACT))
RAISE = Statement(sa.update(HEAD).values(seq=sa.bindparam("head")))
READ_HEAD = Statement(sa.select(HEAD.c.seq, HEAD.c.epoch, HEAD.c.born_at))
BEGIN = Statement(sa.insert(HEAD))
LAST = Statement(sa.select(sa.func.max(FACT.c.seq)))
COUNT = Statement(sa.select(sa.func.count().label("count"), sa.func.max(FACT.c.seq).label("last")).select_from(FACT))
AFTER = Statement(_after.limit(sa.bindparam("size")))
AFTER_OF_KIND = Statement(_after.where(FACT.c.kind == sa.bindparam("kind")).limit(sa.bindparam("size")))


class Staged(msgspec.Struct, gc=False):
    """A fact on its way: its seq is given when its group commits."""

    kind: str
    occurred_at: int
    recorded_at: int
    by: str
    data: str


class Ledger:
    """Appends within the store's commits; `on_commit` hears the facts of each, with their seqs."""

    def __init__(self, kinds: Mapping[str, FactKind], on_commit: Callable[[list[tuple[int, Staged]]], None]):
        self._decoders = {name: msgspec.json.Decoder(kind.data).decode for name, kind in kinds.items()}
        self._on_commit = on_commit
        self._staged: list[Staged] = []
        self._written: list[tuple[int, Staged]] = []
        self.epoch = ""
        self.born_at = 0
        self.head = 0

    def open(self, rows: Rows, now: int) -> None:
        """Reads the head, or begins the ledger in an empty database. Raises: ValueError when head and facts differ."""
        row = rows.one(READ_HEAD)
        if row is None:
            rows.run(BEGIN, id=1, seq=0, epoch=secrets.token_hex(4), born_at=now)
            row = rows.one(READ_HEAD)
        last = rows.value(LAST) or 0
        if last != row.seq:
            raise ValueError(f"the ledger's head is {row.seq}, its last fact {last}")
        self.head, self.epoch, self.born_at = row

    def examine(self, rows: Rows) -> list[str]:
        """Where facts are missing: their seqs must run from 1 to the head."""
        row = rows.one(READ_HEAD)
        self.head = row.seq if row else 0
        count, last = rows.one(COUNT)
        if (count, last or 0) == (self.head, self.head):
            return []
        return [f"the ledger's head is {self.head}, but it holds {count} facts up to {last or 0}; restore a backup"]

    def touch(self, rows: Rows) -> None:
        """Writes the head as it is, to see whether the database can be written again."""
        rows.run(RAISE, head=rows.one(READ_HEAD).seq)

    def stage(self, facts: list[Staged]) -> None:
        self._staged += facts

    def flush(self, rows: Rows) -> None:
        """Writes what the group staged: the last statements before its COMMIT."""
        staged, self._staged = self._staged, []
        if not staged:
            return
        before = rows.one(READ_HEAD).seq
        self._written = list(enumerate(staged, before + 1))
        rows.cursor.executemany(
            APPEND.text(rows.dialect)[0],
            [(seq, f.kind, f.occurred_at, f.recorded_at, f.by, f.data) for seq, f in self._written],
        )
        rows.run(RAISE, head=before + len(staged))

    def drop(self) -> None:
        """Forgets what was staged by a group that failed."""
        self._staged, self._written = [], []

    def committed(self) -> None:
        written, self._written = self._written, []
        if written:
            self.head = written[-1][0]
            self._on_commit(written)

    def decode(self, row: tuple[int, str, int, int, str, str]) -> Fact:
        seq, kind, occurred_at, recorded_at, by, data = row
        return Fact(seq, kind, occurred_at, recorded_at, by, self._decoders[kind](data))

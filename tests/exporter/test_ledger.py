"""Facts are numbered 1, 2, 3 ... in the order of their commits, whatever happens meanwhile."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import gevent
import msgspec
import pytest
import sqlalchemy as sa

from exporter.contract import Fact, FactKind
from exporter.errors import Refusal, StartupError, Unavailable
from exporter.ledger import AFTER, AFTER_OF_KIND, READ_HEAD, TABLES, Ledger, Staged
from exporter.statements import DIALECTS, Rows
from exporter.store import Store
from tests.exporter.notes import python, sql, together, url
from tests.line import NOW, Line


class Told(msgspec.Struct):
    word: str


KINDS = {name: FactKind(name, Told, "A word.", "notes", "note") for name in ("note.told", "note.heard")}


class Book:
    """A ledger on a store of its own, and what it said of its commits."""

    def __init__(self, folder: Path):
        self.heard: list[tuple[int, Staged]] = []
        self.readable: list[bool] = []
        self.ledger = Ledger(KINDS, self.hear)
        self.store = Store(url(folder), 10_000, self.ledger)

    def hear(self, written: list[tuple[int, Staged]]) -> None:
        with self.store.read() as rows:
            found = rows.all(AFTER, after=written[0][0] - 1, size=len(written))
        self.readable.append([row.seq for row in found] == [seq for seq, _ in written])
        self.heard += written

    def begin(self) -> None:
        for table in TABLES.sorted_tables:
            text = str(sa.schema.CreateTable(table).compile(dialect=DIALECTS["sqlite"]))
            self.store.write(sql(text))
        tree = "tree INTEGER REFERENCES leaf DEFERRABLE INITIALLY DEFERRED"
        self.store.write(sql(f"CREATE TABLE leaf (no INTEGER PRIMARY KEY, {tree})"))
        self.open()

    def open(self) -> None:
        self.store.write(lambda rows: self.ledger.open(rows, NOW))

    def tell(self, *words: str) -> Any:
        def work(rows: Rows) -> int:
            self.ledger.stage([staged(word) for word in words])
            return len(words)

        return work

    def tell_in_vain(self, word: str) -> Any:
        """Its group can't commit: a leaf refers to a tree that is not there."""

        def work(rows: Rows) -> None:
            sql("INSERT INTO leaf VALUES (1, 99)")(rows)
            self.ledger.stage([staged(word)])

        return work

    def words(self) -> list[str]:
        with self.store.read() as rows:
            facts = [self.ledger.decode(row) for row in rows.all(AFTER, after=0, size=1_000_000)]
            head = rows.one(READ_HEAD).seq
        assert [fact.seq for fact in facts] == list(range(1, head + 1))
        assert head == self.ledger.head
        return [fact.data.word for fact in facts]


def staged(word: str, kind: str = "note.told") -> Staged:
    return Staged(kind, NOW - 5, NOW, "tester", msgspec.json.encode(Told(word)).decode())


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path)
    book.begin()
    yield book
    book.store.close()


def test_many_writers_leave_no_hole(book: Book) -> None:
    together(book.store, [book.tell(*(f"{no}.{part}" for part in range(no % 4))) for no in range(400)])
    words = book.words()
    assert len(words) == 600
    assert sorted(words) == sorted(f"{no}.{part}" for no in range(400) for part in range(no % 4))
    assert [(seq, msgspec.json.decode(fact.data)["word"]) for seq, fact in book.heard] == list(enumerate(words, 1))
    assert all(book.readable), "facts are told of once they can be read"


def test_a_commit_that_fails_leaves_neither_facts_nor_a_hole(book: Book) -> None:
    book.store.write(book.tell("one"))
    lost = together(book.store, [book.tell("lost"), book.tell_in_vain("lost too"), book.tell("also lost")])
    assert [type(each) for each in lost] == [Unavailable] * 3
    assert (book.words(), len(book.heard)) == (["one"], 1)
    book.store.write(book.tell("two", "three"))
    assert book.words() == ["one", "two", "three"]
    assert [seq for seq, _ in book.heard] == [1, 2, 3]


def test_a_disk_that_is_full_before_the_commit_leaves_neither_facts_nor_a_hole(book: Book) -> None:
    book.store.write(book.tell("one"))
    book.store.write(sql("CREATE TABLE heap (bytes BLOB)"))
    book.store.write(sql("PRAGMA max_page_count = 1"))  # as many as there are
    too_much = sql("INSERT INTO heap VALUES (zeroblob(1000000))")
    lost = together(book.store, [book.tell("lost"), too_much, book.tell("also lost")])
    assert [type(each) for each in lost] == [Unavailable] * 3
    book.store.write(sql("PRAGMA max_page_count = 1000000"))
    book.store.write(book.tell("two"))
    assert book.words() == ["one", "two"]


def test_a_commit_without_facts_tells_nobody(book: Book) -> None:
    book.store.write(sql("INSERT INTO leaf VALUES (1, NULL)"))
    assert (book.heard, book.ledger.head) == ([], 0)


def test_a_fact_comes_back_as_it_was_given(book: Book) -> None:
    book.store.write(book.tell("Straße \u2028 \x00 'quoted'"))
    with book.store.read() as rows:
        (row,) = rows.all(AFTER, after=0, size=10)
    assert book.ledger.decode(row) == Fact(1, "note.told", NOW - 5, NOW, "tester", Told("Straße \u2028 \x00 'quoted'"))


def test_facts_of_one_kind_are_found_in_order(book: Book) -> None:
    kinds = dict.fromkeys("ace", "note.told") | dict.fromkeys("bd", "note.heard")
    book.store.write(lambda rows: book.ledger.stage([staged(word, kinds[word]) for word in sorted(kinds)]))
    with book.store.read() as rows:
        found = [rows.all(AFTER_OF_KIND, after=seq, size=1, kind="note.heard") for seq in (0, 2, 4)]
    assert [[row.seq for row in page] for page in found] == [[2], [4], []]


def test_a_ledger_keeps_its_name_and_birth_over_a_restart(tmp_path: Path) -> None:
    first = Book(tmp_path)
    first.begin()
    first.store.write(first.tell("one"))
    epoch, born_at = first.ledger.epoch, first.ledger.born_at
    first.store.close()
    second = Book(tmp_path)
    second.open()
    assert (second.ledger.epoch, second.ledger.born_at, second.ledger.head) == (epoch, born_at, 1)
    assert (born_at, len(epoch)) == (NOW, 8)
    second.store.close()


def test_two_ledgers_have_two_names(tmp_path: Path) -> None:
    epochs = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        book = Book(tmp_path / name)
        book.begin()
        epochs.add(book.ledger.epoch)
        book.store.close()
    assert len(epochs) == 2


# --- the whole service -------------------------------------------------------------------------------------------


def seqs(line: Line) -> list[int]:
    with line.service.read() as rows:
        assert rows.one(READ_HEAD).seq == line.service.ledger.head
        return [row.seq for row in rows.all(AFTER, after=0, size=1_000_000)]


def attempt(line: Line, command: str, **body: Any) -> str:
    try:
        line.call(command, **body)
    except Refusal as refusal:
        return refusal.code
    return "done"


def test_refusals_among_many_commands_leave_no_hole(line: Line) -> None:
    before, random = line.service.ledger.head, Random(1)
    greenlets = []
    for no in range(300):
        bodies = [
            ("work_orders.create", {"description": f"no {no}", "bucket": random.choice(("cost", "security"))}),
            ("work_orders.pull", {}),
            ("work_orders.create", {"description": "", "bucket": "cost"}),
            ("work_orders.start", {"id": f"WO-{random.randint(1, 200)}"}),
        ]
        command, body = random.choice(bodies)
        greenlets.append(gevent.spawn(attempt, line, command, **body))
    gevent.joinall(greenlets, raise_error=True)
    came_to = [greenlet.value for greenlet in greenlets]
    assert {"done", "invalid", "wip_limit_reached", "not_found"} <= set(came_to)
    assert seqs(line) == list(range(1, before + came_to.count("done") + 1))


SERVE = """
import os, sys, gevent
from pathlib import Path
from tests.line import Line
line = Line(Path(sys.argv[1]))
def work():
    while True:
        order = line.call("work_orders.create", description="x")["id"]
        os.write(1, f"{order}\\n".encode())
gevent.joinall([gevent.spawn(work) for _ in range(20)])
"""


def test_a_kill_leaves_rows_and_facts_that_agree(tmp_path: Path) -> None:
    with python(SERVE, str(tmp_path)) as process:
        assert process.stdout
        told = [process.stdout.readline().strip() for _ in range(500)]
        process.kill()
        told += [text.strip() for text in process.stdout.read().splitlines(keepends=True) if text.endswith("\n")]
    line = Line(tmp_path)
    with line.service.read() as rows:
        rows.cursor.execute("SELECT 'WO-' || no FROM work_order")
        orders = {name for (name,) in rows.cursor.fetchall()}
        created = [row.data for row in rows.all(AFTER_OF_KIND, after=0, size=1_000_000, kind="work_orders.created")]
    assert set(told) <= orders == {msgspec.json.decode(data)["work_order_id"] for data in created}
    assert line.document("overview")["total_work_orders"] == len(orders) == len(created)
    line.close()


DAMAGES = (
    ("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)", "head is 6, its last fact 5"),
    ("UPDATE ledger_head SET seq = seq + 1", "head is 7, its last fact 6"),
    ("UPDATE ledger_head SET seq = 0", "head is 0, its last fact 6"),
    ("DELETE FROM ledger", "head is 6, its last fact 0"),
)


def damaged(line: Line, text: str) -> None:
    line.close()
    connection = sqlite3.connect(line.folder / "line.db")
    with connection:
        connection.execute(text)
    connection.close()


@pytest.fixture
def told_line(tmp_path: Path) -> Line:
    """Six facts: four limits and two work orders."""
    line = Line(tmp_path)
    for _ in range(2):
        line.call("work_orders.create", description="x")
    return line


@pytest.mark.parametrize(("text", "message"), DAMAGES)
def test_a_head_that_is_not_the_last_fact_is_damage(told_line: Line, text: str, message: str) -> None:
    damaged(told_line, text)
    with pytest.raises(StartupError, match=rf"line\.db is damaged: the ledger's {message}; restore a backup$"):
        told_line.open()
    told_line.close()


@pytest.mark.parametrize("text", [*(text for text, _ in DAMAGES), "DELETE FROM ledger WHERE seq = 3"])
def test_an_examination_finds_what_is_missing(told_line: Line, text: str) -> None:
    assert told_line.service.examine() == []
    with told_line.service.store.read() as rows:
        assert told_line.service.ledger.examine(rows) == []
    told_line.service.store.write(sql(text))
    (fault,) = told_line.service.examine()
    assert "restore a backup" in fault
    told_line.close()


def test_an_epoch_survives_a_restart_of_the_service(line: Line) -> None:
    ledger = line.service.ledger
    line.call("work_orders.create", description="x")
    before = (ledger.epoch, ledger.born_at, ledger.head)
    line.now += 86_400_000
    line.restart()
    ledger = line.service.ledger
    assert (ledger.epoch, ledger.born_at, ledger.head) == before

"""The database on real files, with real other processes."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest

from exporter import store as module
from exporter.errors import Conflict, Refusal, StartupError, Unavailable
from exporter.statements import Rows
from exporter.store import Store
from tests.exporter.notes import Commits, begun, kept, note, python, sql, together, url


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def store(tmp_path: Path, commits: Commits) -> Iterator[Store]:
    store = begun(Store(url(tmp_path), 10_000, commits))
    commits.flushed = commits.ended = 0
    yield store
    store.close()


# --- groups ------------------------------------------------------------------------------------------------------


def test_many_writers_share_commits_and_each_gets_its_own_result(store: Store, commits: Commits) -> None:
    results = together(store, [note(no) for no in range(500)])
    assert results == [[(no,)] for no in range(500)]
    assert commits.flushed == commits.ended < 10
    assert kept(store) == list(range(500))


def test_a_result_comes_after_its_commit(store: Store) -> None:
    def write_and_look(no: int) -> bool:
        store.write(note(no))
        return no in kept(store)

    greenlets = [gevent.spawn(write_and_look, no) for no in range(50)]
    gevent.joinall(greenlets, raise_error=True)
    assert all(greenlet.value for greenlet in greenlets)


class Wrong(Exception):
    """A fault of the work itself."""


def failing(error: Exception) -> Callable[[Rows], Any]:
    def work(rows: Rows) -> None:
        note(100)(rows)
        note(101)(rows)
        raise error

    return work


def failing_sql(text: str) -> Callable[[Rows], Any]:
    def work(rows: Rows) -> None:
        note(100)(rows)
        sql(text)(rows)

    return work


@pytest.mark.parametrize(
    "work",
    [
        failing(Wrong("a fault")),
        failing(Conflict("no")),
        failing(KeyError("x")),
        failing_sql("INSERT INTO note VALUES (1, 'again')"),
        failing_sql("INSERT INTO note VALUES (NULL)"),
        failing_sql("SELECT * FROM nowhere"),
        failing_sql("nonsense"),
    ],
)
def test_a_work_that_raises_leaves_nothing_and_the_others_of_its_group_land(
    store: Store, commits: Commits, work: Callable[[Rows], Any]
) -> None:
    results = together(store, [note(1), work, note(2)])
    assert isinstance(results[1], Exception)
    assert [results[0], results[2]] == [[(1,)], [(2,)]]
    assert (kept(store), commits.flushed, store.fault) == ([1, 2], 1, None)


def test_a_group_in_which_all_raise_commits_nothing(store: Store, commits: Commits) -> None:
    results = together(store, [failing(Wrong("one")), failing(Wrong("two"))])
    assert [str(result) for result in results] == ["one", "two"]
    assert (kept(store), commits.flushed, commits.ended) == ([], 0, 0)
    assert store.write(note(1)) == [(1,)]


def test_more_writes_than_may_wait_are_refused_and_the_others_land(tmp_path: Path) -> None:
    store = begun(Store(url(tmp_path), 3))
    results = together(store, [note(no) for no in range(5)])
    assert results[:3] == [[(0,)], [(1,)], [(2,)]]
    assert [(refused.status, refused.code) for refused in results[3:]] == [(503, "write_queue_full")] * 2
    assert store.write(note(9)) == [(9,)]
    assert kept(store) == [0, 1, 2, 9]
    store.close()


class Deaf(Commits):
    def committed(self) -> None:
        super().committed()
        raise Wrong("who hears of commits is broken")


def test_who_hears_of_commits_and_fails_stops_no_writer(tmp_path: Path) -> None:
    store = Store(url(tmp_path), 10, Deaf())
    with gevent.Timeout(3, False):  # type: ignore[arg-type]
        store.write(sql("CREATE TABLE note (no INTEGER PRIMARY KEY, text TEXT)"))
        store.write(note(1))
    assert kept(store) == [1]
    store.close()


def test_what_waits_is_written_before_the_file_is_let_go(tmp_path: Path) -> None:
    store = begun(Store(url(tmp_path), 1000))
    waiting = [gevent.spawn(store.write, note(no)) for no in range(300)]
    gevent.sleep(0)
    store.close()
    assert [greenlet.get(timeout=1) for greenlet in waiting] == [[(no,)] for no in range(300)]
    assert kept(store) == list(range(300))
    with pytest.raises(Unavailable, match="shutting down"):
        store.write(note(999))


# --- other processes ---------------------------------------------------------------------------------------------


WRITE = """
import os, sys, gevent
from exporter.store import Store
store = Store(sys.argv[1], 10_000)
store.write(lambda rows: rows.cursor.execute("CREATE TABLE note (no INTEGER PRIMARY KEY, text TEXT)") and None)
def write(no):
    while True:
        store.write(lambda rows: rows.cursor.execute("INSERT INTO note VALUES (?, 'x')", (no,)) and None)
        os.write(1, f"{no}\\n".encode())
        no += 25
gevent.joinall([gevent.spawn(write, no) for no in range(25)])
"""


def test_a_kill_loses_no_write_that_was_acknowledged(tmp_path: Path) -> None:
    with python(WRITE, url(tmp_path)) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(1500)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    store = Store(url(tmp_path), 10)
    assert set(acknowledged) <= set(kept(store))
    assert store.write(sql("PRAGMA integrity_check")) == [("ok",)]
    store.close()


OPEN = """
import sys
from exporter.errors import StartupError
from exporter.store import Store
try:
    Store(sys.argv[1], 10)
    print("open")
except StartupError as error:
    print(error)
sys.stdout.flush()
sys.stdin.readline()
"""


def test_a_second_process_is_refused_and_told_who_holds_the_file(store: Store) -> None:
    with python(OPEN, f"sqlite:///{store.path}") as process:
        said, _ = process.communicate("\n")
    assert said.strip() == (
        f"{store.path} is in use by process {os.getpid()}; stop it, talk to it with --url, or name another --database"
    )


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with python(OPEN, url(tmp_path)) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StartupError, match=f"is in use by process {process.pid};"):
            Store(url(tmp_path), 10)
        process.kill()
    begun(Store(url(tmp_path), 10)).close()


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM note").fetchall()
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held(store: Store, begin: str) -> Iterator[Callable[[], None]]:
    """Another process in a transaction, until the function is called or the block left."""
    with python(HOLD, store.path, begin) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "held\n"
        yield process.kill
        process.kill()


def test_a_process_that_reads_holds_up_nobody(store: Store) -> None:
    with held(store, "BEGIN"):
        assert store.write(note(1)) == [(1,)]


def test_a_process_that_writes_only_delays(store: Store) -> None:
    with held(store, "BEGIN IMMEDIATE") as release:
        waiting = gevent.spawn(store.write, note(1))
        for _ in range(10):
            gevent.sleep(0.01)  # others go on meanwhile
        with store.read() as rows:
            rows.cursor.execute("SELECT count(*) FROM note")
        assert not waiting.ready()
        release()
        assert waiting.get(timeout=2) == [(1,)]
    assert store.fault is None


def test_a_process_that_never_lets_go_makes_writes_unavailable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    with held(store, "BEGIN EXCLUSIVE"), pytest.raises(Unavailable, match="locked"):
        store.write(note(1))
    faults = [store.fault]
    assert store.write(note(2)) == [(2,)]
    faults.append(store.fault)
    assert (faults, kept(store)) == (["database is locked", None], [2])


def test_a_read_sees_one_state_whatever_is_written_meanwhile(store: Store) -> None:
    store.write(note(1, "before"))
    other = sqlite3.connect(store.path, isolation_level=None)
    with store.read() as rows:
        assert sql("SELECT text FROM note WHERE no = 1")(rows) == [("before",)]
        other.execute("UPDATE note SET text = 'after'")
        other.execute("INSERT INTO note VALUES (2, 'after')")
        assert sql("SELECT no, text FROM note")(rows) == [(1, "before")]
    other.close()
    with store.read() as rows:
        assert sql("SELECT no, text FROM note")(rows) == [(1, "after"), (2, "after")]


def test_a_read_writes_nothing(store: Store) -> None:
    with pytest.raises(Refusal, match="readonly"), store.read() as rows:
        note(1)(rows)
    assert kept(store) == []


def test_a_query_that_is_wrong_is_no_fault_of_the_database(store: Store) -> None:
    with pytest.raises(Exception, match="nowhere"), store.read() as rows:
        sql("SELECT * FROM nowhere")(rows)
    assert store.fault is None

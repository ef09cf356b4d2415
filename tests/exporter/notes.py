"""A database of notes, for tests of the store: on a real file, in this process and in others."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

import exporter
from exporter.statements import Rows
from exporter.store import Store

ROOT = Path(exporter.__file__).parent.parent


class Commits:
    """Takes part in each commit, as the ledger does, and counts."""

    def __init__(self) -> None:
        self.flushed = self.ended = self.dropped = 0

    def flush(self, rows: Rows) -> None:
        self.flushed += 1

    def committed(self) -> None:
        self.ended += 1

    def drop(self) -> None:
        self.dropped += 1


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/line.db"


def begun(store: Store) -> Store:
    store.write(sql("CREATE TABLE note (no INTEGER PRIMARY KEY, text TEXT)"))
    return store


def sql(text: str, *values: Any) -> Callable[[Rows], Any]:
    def work(rows: Rows) -> list[Any]:
        rows.cursor.execute(text, values)
        return rows.cursor.fetchall()

    return work


def note(no: int, text: str = "") -> Callable[[Rows], Any]:
    return sql("INSERT INTO note VALUES (?, ?) RETURNING no", no, text)


def kept(store: Store) -> list[int]:
    """As another connection finds them on disk."""
    connection = sqlite3.connect(store.path)
    try:
        return [no for (no,) in connection.execute("SELECT no FROM note ORDER BY no")]
    finally:
        connection.close()


def together(store: Store, works: list[Callable[[Rows], Any]]) -> list[Any]:
    """What each came to, its result or its error, all asked for in the same moment."""

    def attempt(work: Callable[[Rows], Any]) -> Any:
        try:
            return store.write(work)
        except Exception as error:
            return error

    greenlets = [gevent.spawn(attempt, work) for work in works]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def python(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process of its own that imports the same exporter."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

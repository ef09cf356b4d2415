"""The database: one writer whose commands share commits, and a read-only connection for short looks.

Statements run on gevent's hub without a yield, so nothing can come between those of one command; only COMMIT, which
waits for the disk, runs on a thread. What waits meanwhile becomes the next group: a group is as large as the disk is
slow. A result is handed over after its commit, so what was acknowledged is on disk.
"""

import fcntl
import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import gevent
from gevent.event import AsyncResult, Event
from gevent.threadpool import ThreadPool

from exporter.errors import StartupError, Unavailable
from exporter.statements import Rows

GROUP = 200
BUSY_SECONDS = 5.0
FAULTS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
}
Work = Callable[[Rows], Any]
if TYPE_CHECKING:
    Result = AsyncResult[Any]


class Participant(Protocol):
    """Who has a part in each commit: `flush` writes its last statements, then one of the other two is told the end."""

    def flush(self, rows: Rows) -> None: ...
    def committed(self) -> None: ...
    def drop(self) -> None: ...


class Store:
    """A SQLite file. Only one process may have it open: the lock beside it is held while this object lives."""

    dialect = "sqlite"

    def __init__(self, url: str, queue: int, participant: Participant | None = None):
        self.path = path_of(url)
        self.queue_limit = queue
        self.fault: str | None = None
        self.participant = participant
        self._queue: deque[tuple[Work, Result]] = deque()
        self._wake = Event()
        self._closing = False
        self._lock = _take(self.path)
        try:
            self._connection = self._open(writes=True)
        except StartupError:
            os.close(self._lock)
            raise
        self.writer = Rows(self._connection.cursor(), self.dialect)
        self._reader: sqlite3.Connection | None = None
        self._commits = ThreadPool(1)
        self._greenlet = gevent.spawn(self._serve)

    def write(self, work: Work) -> Any:
        """What `work` returns, once it is on disk. Raises: what `work` raises; Unavailable if nothing was written."""
        if self._closing:
            raise Unavailable("the service is shutting down", retry_after=5)
        if len(self._queue) >= self.queue_limit:
            raise Unavailable(f"{self.queue_limit} writes are waiting already (write_queue)", code="write_queue_full")
        result: Result = AsyncResult()
        self._queue.append((work, result))
        self._wake.set()
        return result.get()

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """One consistent look. What happens inside must not yield to other greenlets."""
        if self._reader is None:
            self._reader = self._open(writes=False)
        cursor = self._reader.cursor()
        try:
            cursor.execute("BEGIN")
            yield Rows(cursor, self.dialect)
        except sqlite3.Error as error:
            if _is_fault(error):
                raise self._failed(error) from error
            raise
        finally:
            if self._reader.in_transaction:
                cursor.execute("COMMIT")
            cursor.close()

    def examine(self, rows: Rows) -> list[str]:
        """The faults that SQLite finds in its file."""
        rows.cursor.execute("PRAGMA integrity_check")
        found = [line for (line,) in rows.cursor.fetchall() if line != "ok"]
        rows.cursor.execute("PRAGMA foreign_key_check")
        lost = rows.cursor.fetchall()
        found += [f"{table} row {row} refers to {parent}, which is missing" for table, row, parent, _ in lost]
        return [f"{self.path}: {line}; restore a backup" for line in found]

    def size(self) -> int:
        """Bytes on disk, the log of writes included."""
        return sum(os.stat(p).st_size for p in (self.path, f"{self.path}-wal") if os.path.exists(p))

    def close(self) -> None:
        """Writes what waits, then lets go of the file. Never leaves a write that was acknowledged undone."""
        self._closing = True
        self._wake.set()
        self._greenlet.join()
        for connection in (self._reader, self._connection):
            if connection is not None:
                connection.close()
        self._commits.kill()
        os.close(self._lock)

    def _open(self, writes: bool) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0)
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            if writes:
                # FULL: a webhook that was acknowledged must survive a power cut
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA journal_size_limit=67108864")
                _try_to_write(connection)
            else:
                connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise StartupError(f"can't open the database {self.path}: {_advice(error, self.path)}") from error
        return connection

    def _serve(self) -> None:
        while not (self._closing and not self._queue):
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._commit([self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))])

    def _commit(self, group: list["tuple[Work, Result]"]) -> None:
        """Runs a group in one transaction; either all that succeeded in it is on disk, or nothing is."""
        done: list[tuple[Result, Any]] = []
        try:
            self._begin()
            for work, result in group:
                self._attempt(work, result, done)
            if done and self.participant:
                self.participant.flush(self.writer)
            self._commits.apply(self._connection.execute, ("COMMIT" if done else "ROLLBACK",))
        except Exception as error:
            self._undo(group, error)
            return
        self.fault = None
        try:
            if done and self.participant:
                self.participant.committed()
        except Exception:
            gevent.get_hub().handle_error(self, *sys.exc_info())  # it is on disk, so its writers are told so
        for result, value in done:
            result.set(value)

    def _undo(self, group: list["tuple[Work, Result]"], error: Exception) -> None:
        with suppress(sqlite3.Error):  # a full disk may have ended it already
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self.participant:
            self.participant.drop()
        failure = self._failed(error) if isinstance(error, sqlite3.Error) else error
        for _, result in group:
            if not result.ready():
                result.set_exception(failure)

    def _begin(self) -> None:
        """Another process may read or back up the file: wait for it without stopping this one."""
        waited = 0.0
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or waited > BUSY_SECONDS:
                    raise
            gevent.sleep(0.01)
            waited += 0.01

    def _attempt(self, work: Work, result: "Result", done: list["tuple[Result, Any]"]) -> None:
        cursor = self.writer.cursor
        cursor.execute("SAVEPOINT command")
        try:
            done.append((result, work(self.writer)))
        except Exception as error:
            if _is_fault(error):
                raise
            cursor.execute("ROLLBACK TO command")
            result.set_exception(error)
        cursor.execute("RELEASE command")

    def _failed(self, error: Exception) -> Unavailable:
        self.fault = f"{_advice(error, self.path)}"
        return Unavailable(f"the database can't be used: {self.fault}", code="store_unavailable", retry_after=5)


def path_of(url: str) -> str:
    """The file that the URL names. Raises: StartupError for another kind of database."""
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        shown = f"{scheme}://{urlsplit(url).hostname or ''}"
        raise StartupError(f"database: expected sqlite:///FILE, got {shown}; other databases are not supported yet")
    return str(Path(rest[1:]).absolute())


def _take(path: str) -> int:
    """Holds FILE.lock, so that no second process opens the same file."""
    name = f"{path}.lock"
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StartupError(f"can't create {name}: {error.strerror}; name a writable place with --database") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        message = f"{path} is in use by process {holder}; stop it, talk to it with --url, or name another --database"
        raise StartupError(message) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _is_fault(error: Exception) -> bool:
    """Whether the database is at fault, and not the statement that was given to it."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in FAULTS


def _try_to_write(connection: sqlite3.Connection) -> None:
    """A file that can only be read is noticed at the first page that is written."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.execute("ROLLBACK")


def _advice(error: Exception, path: str) -> str:
    text = str(error)
    if "full" in text:
        return f"{text}; free some space on the disk that holds {path}"
    if "readonly" in text or "unable to open" in text:
        return f"{text}; check that {path} and its folder exist and may be written"
    if "not a database" in text or "malformed" in text:
        return f"{text}; {path} is damaged or another kind of file: restore a backup or name another --database"
    return text

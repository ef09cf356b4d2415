"""From the process's start to its first answer with a million work orders, the file in the page cache."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.figures import CACHE, Figure, at_most, median, number, say
from tests.benchmarks.history import TAIL, copy
from tests.benchmarks.processes import Service

ROUNDS, REFOLDS = 5, 2
ANSWER = "/api/metrics/all"


class Start(NamedTuple):
    seconds: float
    cpu: float
    refusals: list[Any]
    orders: int


def start() -> Iterator[Figure]:
    database, _ = copy("million")
    kept = _checkpoints(database)
    taken, empty = list[Start](), list[Start]()
    for turn in range(ROUNDS):
        empty.append(_once(_nothing()))
        _keep(database, kept)
        taken.append(_once(database))
        rounds = f"{taken[-1].seconds:.2f} s, with an empty database {empty[-1].seconds:.2f} s"
        say(f"start: round {turn + 1} of {ROUNDS}: {rounds}")
    size = f"{database.stat().st_size / 1e9:.2f} GB"
    what = f"start to first answer, {taken[0].orders:,} orders ({size}), checkpoint and {TAIL:,} facts after it"
    against = f"{number(median(one.seconds for one in empty))} s with an empty database"
    yield at_most(what, median(one.seconds for one in taken), 3, "s", against)
    against = f"{number(median(one.cpu for one in empty))} s with an empty database"
    yield Figure("CPU of that start", f"{number(median(one.cpu for one in taken))} s", against)
    refolds = []
    for turn in range(REFOLDS):
        forget_checkpoints(database)
        refolds.append(_once(database, every=0.1))
        say(f"start: refold {turn + 1} of {REFOLDS}: {refolds[-1].seconds:.1f} s, {_progress(refolds[-1].refusals)}")
    used = f"{number(median(one.cpu for one in refolds))} s of CPU"
    refolded = median(one.seconds for one in refolds)
    yield at_most("start with all facts to fold, checkpoints deleted", refolded, 20, "s", used)
    last = refolds[-1].refusals
    yield Figure("what it answers meanwhile", _progress(last), aim="503 with rising progress", met=_rises(last))


def _nothing() -> Path:
    path = CACHE / "empty.db"
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return path


def _once(database: Path, every: float = 0.005) -> Start:
    with Service(database) as service:
        took, refusals = service.until(ANSWER, every)
        return Start(took, service.cpu(), refusals, service.get("/api/metrics/overview")["total_work_orders"])


def _checkpoints(database: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    rows = connection.execute("select * from checkpoint").fetchall()
    connection.close()
    return rows


def _keep(database: Path, rows: list[tuple[Any, ...]]) -> None:
    """Puts these checkpoints in the place of those that the last round left."""
    connection = sqlite3.connect(database)
    connection.execute("delete from checkpoint")
    connection.executemany("insert into checkpoint values (?, ?, ?, ?)", rows)
    connection.commit()
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


def forget_checkpoints(database: Path) -> None:
    """So that the next start folds the whole ledger."""
    _keep(database, [])


def _told(refusals: list[Any]) -> list[float]:
    """The progress that each refusal told while it folded."""
    return [one["error"]["details"]["progress"] for one in refusals if one["error"]["code"] == "folding"]


def _rises(refusals: list[Any]) -> bool:
    told = _told(refusals)
    return len(told) > 2 and told == sorted(told) and told[0] < 0.2 < 0.8 < told[-1]


def _progress(refusals: list[Any]) -> str:
    told = _told(refusals)
    return f"{len(told)} times 503, progress {told[0]:.0%} to {told[-1]:.0%}" if told else "no 503"

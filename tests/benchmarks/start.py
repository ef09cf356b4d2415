"""From the process's start to its first answer with a million work orders, the file in the page cache."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, at_most, median, number, say
from tests.benchmarks.history import TAIL, copy
from tests.benchmarks.processes import Service

ROUNDS, REFOLDS = 5, 2
ANSWER = "/api/metrics/all"
NOTHING = {"total_work_orders": None}


def start() -> Iterator[Figure]:
    database, _ = copy("million")
    kept = _checkpoints(database)
    taken, empty = list[float](), list[float]()
    for turn in range(ROUNDS):
        fresh = database.with_name("empty.db")
        for old in fresh.parent.glob(f"{fresh.name}*"):
            old.unlink()
        empty.append(_once(fresh)[0])
        _keep(database, kept)
        took, refusals, orders = _once(database)
        taken.append(took)
        say(f"start: round {turn + 1} of {ROUNDS}: {took:.2f} s, with an empty database {empty[-1]:.2f} s")
    size = f"{database.stat().st_size / 1e9:.2f} GB"
    what = f"start to first answer, {orders:,} orders ({size}), checkpoint and {TAIL:,} facts after it"
    yield at_most(what, median(taken), 3, "s", f"{number(median(empty))} s with an empty database")
    refolds = []
    for turn in range(REFOLDS):
        forget_checkpoints(database)
        took, refusals, _ = _once(database, every=0.1)
        shown = _progress(refusals)
        refolds.append(took)
        say(f"start: refold {turn + 1} of {REFOLDS}: {took:.1f} s, {shown}")
    yield at_most("start with all facts to fold, checkpoints deleted", median(refolds), 20, "s")
    yield Figure("what it answers meanwhile", shown, aim="503 with rising progress", met=_rises(refusals))


def _once(database: Path, every: float = 0.005) -> tuple[float, list[Any], int]:
    with Service(database) as service:
        took, refusals = service.until(ANSWER, every)
        return took, refusals, service.get("/api/metrics/overview")["total_work_orders"]


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

"""A database of a million work orders, kept in .bench until something that it is made of changes.

It is written in bulk, but of the product's own parts: its migrations, its rules, its structs and its statements.
`check` shows on a small one that the rows are those that the commands write.
"""

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from collectors.work_orders import rules
from collectors.work_orders import schema as sql
from collectors.work_orders.commands import Draft
from collectors.work_orders.facts import OrderFact, Standing
from exporter import clock, ids, registry
from exporter.host_settings import configured
from exporter.ledger import APPEND, RAISE
from exporter.service import Service
from exporter.statements import Rows
from tests.benchmarks.figures import CACHE, ROOT, make_cache, say
from tests.benchmarks.processes import UNLIMITED, show

HOUR, DAY = 3_600_000, 86_400_000
WINDOW, YEARS = 30 * DAY, 3 * 365 * DAY
BY = "bench"
MAKE_ROWS = ("schema.py", "facts.py", "rules.py", "commands.py", "ledger.py")
TAIL = 50_000
KEPT = 2 * DAY
WHAT = ("created", "started", "completed")
INDEXES = "select name, sql from sqlite_master where type = 'index' and sql is not null"


class Shape(NamedTuple):
    """How many orders were completed before and within the last 30 days, wait, and are in progress."""

    older: int
    recent: int
    queued: int
    active: int


MILLION = Shape(917_000, 80_000, 2_000, 1_000)
RECENT = MILLION._replace(older=0)
SAMPLE = Shape(60, 40, 10, 10)


class Life(NamedTuple):
    created: int
    started: int | None = None
    completed: int | None = None


def open_service(path: Path | str, now: clock.Clock = clock.now) -> Service:
    """The product in this process, without its web, before it folds."""
    known = registry.discover()
    settings = configured(known.settings, environ=UNLIMITED, flags={"database": f"sqlite:///{path}"})
    service = Service(settings, known, now=now)
    service.open()
    return service


def lives(shape: Shape, now: int) -> list[Life]:
    """In the order of their demand. The same orders are recent and open however many are older."""
    told = list(_recent(random.Random(1), shape, now))
    dice = random.Random(2)
    told += (_ended(dice, now - WINDOW - int(dice.random() * YEARS)) for _ in range(shape.older))
    return sorted(told)


def _recent(dice: random.Random, shape: Shape, now: int) -> Iterator[Life]:
    for _ in range(shape.recent):
        yield _ended(dice, now - int(dice.random() * (WINDOW - 1)))
    for _ in range(shape.queued):
        yield Life(now - _spread(dice, 14 * HOUR))
    for _ in range(shape.active):
        started = now - _spread(dice, 10 * HOUR)
        yield Life(started - _spread(dice, 14 * HOUR), started)


def _ended(dice: random.Random, completed: int) -> Life:
    started = completed - _spread(dice, 10 * HOUR)
    return Life(started - _spread(dice, 14 * HOUR), started, completed)


def _spread(dice: random.Random, middle: int) -> int:
    """Durations as real ones are: mostly short, sometimes very long."""
    return 1 + int(middle * math.exp(dice.gauss(0, 1)))


def draft(no: int, buckets: list[str]) -> Draft:
    return Draft(buckets[no % len(buckets)], 1 + no % 10, f"sku-{no}")


def description(no: int) -> str:
    return f"Change the price list for customer {no % 1000}"


class Book:
    """Turns lives into the rows of ledger, orders and events."""

    def __init__(self, told: list[Life], settings: Any):
        self.told = told
        self._buckets = list(settings.table("buckets"))
        self._hours = {name: bucket["sla_hours"] for name, bucket in settings.table("buckets").items()}

    def _standing(self, no: int, moments: Iterable[int | None]) -> Standing:
        events = [rules.Event(at, what) for at, what in zip(moments, WHAT, strict=False) if at is not None]
        order = draft(no, self._buckets)
        return rules.standing(events, order, self._hours[order.bucket])

    def due(self) -> list[int]:
        """What happened in the order of time: the moment, the order's number and which of its moments it is."""
        return sorted(
            at << 24 | no << 2 | index
            for no, life in enumerate(self.told, 1) for index, at in enumerate(life) if at is not None
        )  # fmt: skip

    def facts(self, head: int) -> Iterator[tuple[Any, ...]]:
        known: dict[int, Standing] = {}
        for seq, key in enumerate(self.due(), head + 1):
            at, no, index = key >> 24, key >> 2 & (1 << 22) - 1, key & 3
            before = known.pop(no, None)
            now = self._standing(no, self.told[no - 1][: index + 1])
            if index < 2:
                known[no] = now
            data = msgspec.json.encode(OrderFact(work_order_id=ids.name("WO", no), before=before, now=now)).decode()
            yield seq, f"work_orders.{WHAT[index]}", at, at, BY, data

    def orders(self) -> Iterator[dict[str, Any]]:
        for no, life in enumerate(self.told, 1):
            more = {"no": no, "description": description(no), "external_id": None, "labels": "[]", "metadata": "{}"}
            yield msgspec.structs.asdict(self._standing(no, life)) | more

    def events(self) -> Iterator[dict[str, Any]]:
        for no, life in enumerate(self.told, 1):
            for at, what in zip(life, WHAT, strict=True):
                if at is not None:
                    yield {"no": no, "at": at, "what": what, "detail": "", "by": BY}


def write(path: Path, shape: Shape, now: int) -> None:
    """Makes the database, in bulk."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    service = open_service(path, lambda: now - WINDOW - YEARS - DAY)
    book, head = Book(lives(shape, now), service.settings), service.ledger.head
    service.stop()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    indexes = connection.execute(INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f"drop index {name}")
    rows = Rows(connection.cursor(), "sqlite")
    rows.cursor.executemany(APPEND.text("sqlite")[0], book.facts(head))
    for statement, source in ((sql.ADD, book.orders()), (sql.ADD_EVENT, book.events())):
        while some := list(islice(source, 5000)):
            rows.many(statement, some)
    (last,) = connection.execute("select max(seq) from ledger").fetchone()
    rows.run(RAISE, head=last)
    for _, text in indexes:
        connection.execute(text)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def told_by_commands(path: Path, shape: Shape, now: int) -> None:
    """The same, but each order by the product's commands, one after the other."""
    told, clocks = lives(shape, now), [now - WINDOW - YEARS - DAY]
    service = open_service(path, lambda: clocks[0])
    book = Book(told, service.settings)
    for key in book.due():
        no, index = key >> 2 & (1 << 22) - 1, key & 3
        clocks[0] = key >> 24
        if index:
            service.call(f"work_orders.{('start', 'complete')[index - 1]}", {"id": ids.name("WO", no)}, BY)
        else:
            own = msgspec.structs.asdict(draft(no, list(service.settings.table("buckets"))))
            service.call("work_orders.create", own | {"description": description(no)}, BY)
    service.stop()


def check(folder: Path) -> None:
    """Raises: SystemExit where a row written in bulk is not the one that the commands write."""
    folder.mkdir(exist_ok=True)
    bulk, told = folder / "bulk.db", folder / "told.db"
    now = clock.now()
    for path in folder.glob("*.db*"):
        path.unlink()
    write(bulk, SAMPLE, now)
    told_by_commands(told, SAMPLE, now)
    compared = []
    for table in ("ledger", "work_order", "work_order_event", "work_order_dependency"):
        one, other = (_rows(path, table) for path in (bulk, told))
        compared.append(len(one))
        for first, second in zip(one, other, strict=True):
            if first != second:
                sys.exit(f"history: {table} in bulk {first}, by commands {second}")
    say(f"history: a sample in bulk is what the commands write: {compared[0]} facts, {compared[1]} orders")
    shutil.rmtree(folder)


def _rows(path: Path, table: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"select * from {table} order by 1, 2").fetchall()
    finally:
        connection.close()


def keep_checkpoint(path: Path, tail: int) -> None:
    """Lets the product fold all but the last facts and keep that as its checkpoint, as if it had stopped there."""
    connection = sqlite3.connect(path)
    connection.execute("delete from checkpoint")
    connection.commit()
    connection.close()
    began = time.perf_counter()
    service = open_service(path)
    service.ledger.head -= tail
    service.catch_up()
    folded = time.perf_counter() - began
    service.fold.checkpoint()
    service.stop()
    say(f"history: folded {service.fold.seq:,} facts of {path.name} in {folded:.1f} s and kept a checkpoint")


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _keys() -> tuple[str, str]:
    """Of what the rows are made of, and of what the checkpoint is made of."""
    code = [path for part in ("exporter", "collectors") for path in (ROOT / part).rglob("*.py")]
    rows = [path for path in code if path.name in MAKE_ROWS or path.parent.name in ("migrations", "revisions")]
    return _digest([*rows, Path(__file__)]), _digest([*code, Path(__file__)])


def build(name: str, shape: Shape) -> None:
    """Makes what is missing or out of date of the database `name` in the cache."""
    make_cache()
    path, about = CACHE / f"{name}.db", CACHE / f"{name}.json"
    rows, checkpoint = _keys()
    known = json.loads(about.read_text()) if about.exists() and path.exists() else {}
    if known.get("rows") != rows or clock.now() - known["now"] > KEPT:
        about.unlink(missing_ok=True)
        check(Path(str(CACHE / "sample")))
        now, began = clock.now(), time.perf_counter()
        say(f"history: writing {sum(shape):,} work orders to {path.relative_to(ROOT)}")
        write(path, shape, now)
        known = {"rows": rows, "now": now}
        say(f"history: {path.stat().st_size / 1e6:,.0f} MB in {time.perf_counter() - began:.0f} s")
    if known.get("checkpoint") != checkpoint:
        keep_checkpoint(path, TAIL)
        about.write_text(json.dumps(known | {"checkpoint": checkpoint}))
    os.sync()


def database(name: str) -> tuple[Path, int]:
    """The kept database `million` or `recent`, and the moment (ms) at which it was told."""
    show("tests.benchmarks.history", name)
    return CACHE / f"{name}.db", json.loads((CACHE / f"{name}.json").read_text())["now"]


def copy(name: str) -> tuple[Path, int]:
    """One that may be written to; the disk has it before it is used."""
    path, now = database(name)
    copied = CACHE / f"{name}.copy.db"
    for old in CACHE.glob(f"{copied.name}*"):
        old.unlink()
    shutil.copyfile(path, copied)
    os.sync()
    return copied, now


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("million", "recent"))
    chosen = parser.parse_args().name
    build(chosen, {"million": MILLION, "recent": RECENT}[chosen])

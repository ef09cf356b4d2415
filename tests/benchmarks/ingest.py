"""Event logs as CSV: how fast they come in, and whether a larger file takes more memory.

The log is as a tracker exports it: in the order of time, its items' events between each other's. Beside it the same
rows item by item, as other tools write them.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from exporter.clock import iso
from tests.benchmarks.figures import CACHE, ROOT, Figure, at_least, median, number, say, times_of
from tests.benchmarks.processes import Service, environment, held

EVENTS, TIMES, ROUNDS = 40_000, 10, 3
ACTIVITIES = ("Assign seriousness", "Take in charge ticket", "Wait", "Resolve ticket", "Closed")
OPTIONS = {"item": "case", "activity": "activity", "time": "timestamp"}
MAP = ("Take in charge ticket=in_progress", "Closed=completed")
BEGINS, HOUR = 1_600_000_000_000, 3_600_000
AIM, GROWTH = 10_000, 1.1


class Took(NamedTuple):
    """Events a second of the clock, and of CPU; the latter hardly minds other work on the machine. MB at most held."""

    rate: float
    of_cpu: float
    peak: float


def csv() -> Iterator[Figure]:
    small, large = _log("log", EVENTS), _log("log10", EVENTS * TIMES)
    items = _log("items", EVENTS, by_item=True)
    for name, take in (("import csv", _by_command), ("POST /api/ingest/csv", _by_post)):
        few, ordered = list[Took](), list[Took]()
        for turn in range(ROUNDS):
            few.append(take(small, EVENTS))
            ordered.append(take(items, EVENTS))
            rates = f"{few[-1].rate:,.0f} events/s, item by item {ordered[-1].rate:,.0f}"
            say(f"csv: {name} round {turn + 1} of {ROUNDS}: {rates}")
        many = take(large, EVENTS * TIMES)
        say(f"csv: {name} of {EVENTS * TIMES:,} events: {many.rate:,.0f} events/s, peak {many.peak:.0f} MB")
        by_time = median(one.rate for one in few)
        of_cpu = median(one.of_cpu for one in few)
        yield at_least(f"{name}, {EVENTS:,} events in the order of time", by_time, AIM, "events/s", _cpu(of_cpu))
        yield at_least(f"{name}, {EVENTS * TIMES:,} events", many.rate, AIM, "events/s", _cpu(many.of_cpu))
        by_item = median(one.rate for one in ordered)
        yield Figure(f"{name}, {EVENTS:,} events item by item", f"{number(by_item)} events/s")
        peak = median(one.peak for one in few)
        yield times_of(f"{name}, peak memory with a file {TIMES} times as long", many.peak, peak, GROWTH, "MB")


def _cpu(rate: float) -> str:
    return f"{number(rate)} a second of CPU"


def _log(name: str, events: int, by_item: bool = False) -> Path:
    """Items come every half an hour on average and go through their activities within a few days."""
    dice, rows = random.Random(3), list[tuple[int, int, str]]()
    for item in range(events // len(ACTIVITIES)):
        at = BEGINS + item * HOUR // 2
        for activity in ACTIVITIES:
            rows.append((at, item, activity))
            at += 1000 + int(dice.expovariate(1 / (10 * HOUR)))
    if not by_item:
        rows.sort()
    path = CACHE / f"{name}.csv"
    with path.open("w") as file:
        file.write("case,activity,timestamp,product\n")
        file.writelines(f"HD-{item},{activity},{iso(at)},Value {item % 7}\n" for at, item, activity in rows)
    return path


def _empty() -> Path:
    path = CACHE / "import.db"
    for old in CACHE.glob(f"{path.name}*"):
        old.unlink()
    return path


def _by_command(log: Path, events: int) -> Took:
    """The whole command, its start included."""
    flags = [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
    flags += [part for pair in MAP for part in ("--map", pair)]
    command = [sys.executable, "-m", "exporter", "import", "csv", str(log), *flags]
    command += ["--database", f"sqlite:///{_empty()}"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    ended, peak = 0, 0.0
    while not ended:
        peak = max(peak, held(process.pid, "VmHWM"))  # ru_maxrss would be this process's own, from before the exec
        time.sleep(0.01)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    took = time.perf_counter() - began
    assert status == 0, f"the import ended with {status}"
    return Took(events / took, events / (usage.ru_utime + usage.ru_stime), peak)


def _by_post(log: Path, events: int) -> Took:
    """With the service's own work beside it: logging, folding, collecting."""
    query = urlencode([*OPTIONS.items(), *(("map", pair) for pair in MAP)])
    with Service(_empty()) as service:
        service.until("/api/metrics/all")
        service.forget_peak()
        used, began = service.cpu(), time.perf_counter()
        status, _, body = service.ask("POST", f"/api/ingest/csv?{query}", log.read_bytes())
        took = time.perf_counter() - began
        assert status == 200, body[:500]
        assert f'"facts":{events}'.encode() in body, body[:500]
        return Took(events / took, events / (service.cpu() - used), service.memory("VmHWM"))

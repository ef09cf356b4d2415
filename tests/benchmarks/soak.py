"""A long run: work flows steadily through the line while Prometheus and a page look on; what the process then holds.

A finished order leaves two samples of 16 bytes in the windows for 30 days, so a little growth is data. What grows
beyond that, after the first fifth of the run, is a leak.
"""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.benchmarks.figures import CACHE, Figure, at_most, median, say
from tests.benchmarks.processes import Service

ORDERS_A_SECOND, READS, BEAT = 20, {"/metrics": 1, "/api/metrics/all": 5}, 0.05
SAMPLES, WARM = 30, 0.2
A_FINISHED_ORDER = 64
"""Bytes of growth that are data: its samples, and as much again for the spare room of arrays."""


class Sample(NamedTuple):
    at: float
    memory: float
    descriptors: int
    cpu: float
    finished: int


def soak(minutes: float) -> Iterator[Figure]:
    database = CACHE / "soak.db"
    for old in CACHE.glob(f"{database.name}*"):
        old.unlink()
    with Service(database) as service:
        service.until("/api/metrics/all")
        samples = list(_drive(service, minutes * 60))
        growth, finished = _growth(samples)
        data = finished * A_FINISHED_ORDER / 1e6
        told = f"{finished:,} orders finished, {data:.1f} MB is data"
        what = f"memory that {minutes:g} min of work added after warming up ({told})"
        yield at_most(what, growth, 3 + data, "MB")
        warm = samples[round(len(samples) * WARM) :]
        most = max(one.descriptors for one in warm)
        yield at_most("file descriptors added meanwhile", most - warm[0].descriptors, 0, "descriptors")
        used = 100 * (samples[-1].cpu - samples[0].cpu) / (samples[-1].at - samples[0].at)
        pace = f"{ORDERS_A_SECOND} orders a second, each demanded, started and completed"
        yield Figure(f"CPU for {pace}", f"{used:.1f} %")
        yield Figure("memory at the end", f"{samples[-1].memory:.1f} MB")
    database.unlink()


def _growth(samples: list[Sample]) -> tuple[float, int]:
    """MB from the median of the first fifth after warming up to that of the last, and the orders finished between."""
    warm = samples[round(len(samples) * WARM) :]
    few = max(1, len(warm) // 5)
    first, last = warm[:few], warm[-few:]
    added = median(one.memory for one in last) - median(one.memory for one in first)
    return added, round(median(one.finished for one in last) - median(one.finished for one in first))


def _drive(service: Service, seconds: float) -> Iterator[Sample]:
    """Keeps the pace by the clock, whatever a request takes."""
    line, began, told = _Line(service.port), time.monotonic(), -1
    while (passed := time.monotonic() - began) < seconds:
        line.work(passed)
        if int(passed * SAMPLES / seconds) > told:
            told = int(passed * SAMPLES / seconds)
            one = Sample(passed, service.memory(), service.descriptors(), service.cpu(), line.finished)
            say(
                f"soak: {passed / 60:5.1f} min  {one.memory:6.1f} MB  {one.descriptors} descriptors  "
                f"{one.cpu:.1f} s CPU  {one.finished:,} orders finished"
            )
            yield one
        time.sleep(BEAT)


class _Line:
    """Demands, starts and completes orders, and reads what others would."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._read = dict.fromkeys(READS, 0)
        self.finished = 0

    def work(self, passed: float) -> None:
        """Catches up with what is due after so many seconds."""
        while self.finished < passed * ORDERS_A_SECOND:
            demand = {"description": "Fix the login", "sku_id": f"sku-{self.finished}"}
            order = self._ask("POST", "/api/work-orders", demand)
            for step in ("start", "complete"):
                self._ask("POST", f"/api/work-orders/{json.loads(order)['id']}/{step}", {})
            self.finished += 1
        for path, rate in READS.items():
            while self._read[path] < passed * rate:
                self._ask("GET", path)
                self._read[path] += 1

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {read[:300]!r}")
        return read

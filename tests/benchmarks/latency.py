"""How long single answers take, warm and one after the other on loopback, and what the service uses while idle."""

import time
from collections.abc import Iterator
from typing import Any

from exporter.web.front import Front, Ready
from tests.benchmarks.figures import Figure, at_most, median, number, percentile, say
from tests.benchmarks.history import copy, open_service
from tests.benchmarks.load import Load, load, request
from tests.benchmarks.processes import Service

PROMISES = {"/api/metrics/all": 50, "/api/metrics/overview": 20, "/api/health": 5}
LISTS = ("/metrics", *(f"/api/work-orders?{q}" for q in ("", "status=in_progress", "status=completed", "sla=warning")))
ROUNDS, SECONDS, IDLE, REPEATS = 3, 1.0, 15, 2000


def answers() -> Iterator[Figure]:
    database, _ = copy("million")
    with Service(database) as service:
        service.until("/api/metrics/all")
        yield _idle(service)
        found: dict[str, list[Load]] = {path: [] for path in (*PROMISES, *LISTS)}
        for turn in range(ROUNDS):
            for path, some in found.items():
                some.append(load(service.port, request("GET", path), 1, SECONDS).require(200))
            shown = ", ".join(f"{path} {some[-1].p95:.2f} ms" for path, some in found.items())
            say(f"answers: round {turn + 1} of {ROUNDS}, p95: {shown}")
    for path, some in found.items():
        p95 = median(one.p95 for one in some)
        what = f"GET {path}, 1,000,000 orders, p95 of {sum(sum(one.statuses.values()) for one in some):,}"
        yield at_most(what, p95, PROMISES[path], "ms") if path in PROMISES else Figure(what, f"{number(p95)} ms")


def _idle(service: Service) -> Figure:
    time.sleep(1)
    used, began = service.cpu(), time.perf_counter()
    time.sleep(IDLE)
    share = 100 * (service.cpu() - used) / (time.perf_counter() - began)
    say(f"answers: {share:.2f} % CPU while idle")
    return at_most(f"CPU while idle with 1,000,000 orders, {IDLE} s", share, 5, "%")


def cache() -> Iterator[Figure]:
    """The table of rendered documents (/api/cache), in this process."""
    database, _ = copy("recent")
    service = open_service(database)
    service.catch_up()
    table = Front(None, service).table
    for path, limit in (("/api/metrics/all", 100), ("/metrics", None)):
        read, write = _read(table[path]), _write(table[path])
        for what, times in (("read", read), ("write", write)):
            p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
            if limit:
                yield at_most(f"cache {what} of {path}, p99 of {REPEATS:,}", p99, limit, "us", f"p50 {number(p50)} us")
            else:
                yield Figure(f"cache {what} of {path}, p99", f"{number(p99)} us", f"p50 {number(p50)} us")
    service.stop()


def _read(ready: Ready) -> list[float]:
    ready.get()
    return [_took(ready.get) for _ in range(REPEATS)]


def _write(ready: Ready) -> list[float]:
    """The document rendered and put into the table."""

    def write() -> None:
        ready.body = None
        ready.get()

    return [_took(write) for _ in range(REPEATS)]


def _took(act: Any) -> float:
    """Microseconds."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1e6

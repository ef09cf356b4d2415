"""One collection with a million work orders, against the same open and recent ones without older history.

Each database is open in a process of its own, and they take turns. Between two collections three commands run and the
clock goes on by refresh_interval: six times the pace of 80,000 completions in 30 days.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.figures import ROOT, Figure, at_most, median, number, percentile, say, times_of
from tests.benchmarks.history import BY, copy, open_service
from tests.benchmarks.processes import environment

ROUNDS, COLLECTIONS, WARM = 10, 100, 50


def collection() -> Iterator[Figure]:
    million, recent = _Worker("million"), _Worker("recent")
    workers = {"million": million, "recent": recent}
    for worker in workers.values():
        worker.collect(WARM)
    found: dict[str, list[list[float]]] = {name: [] for name in workers}
    for turn in range(ROUNDS):
        for name, worker in workers.items():
            found[name].append(worker.collect(COLLECTIONS))
        medians = ", ".join(f"{name} p50 {percentile(rounds[-1], 0.5):.2f} ms" for name, rounds in found.items())
        say(f"collection: round {turn + 1} of {ROUNDS}: {medians}")
    for worker in workers.values():
        worker.end()
    middle = {name: median(percentile(each, 0.5) for each in rounds) for name, rounds in found.items()}
    every = [one for rounds in found["million"] for one in rounds]
    shown = f"{number(middle['recent'])} ms"
    what = f"one collection, {million.orders:,} orders, {million.completed:,} of them completed in 30 d"
    yield at_most(f"{what}, p50", middle["million"], 2, "ms", shown, f"{middle['million'] / middle['recent']:.2f}")
    yield at_most(f"{what}, p99 of {len(every):,}", percentile(every, 0.99), 10, "ms")
    yield times_of(f"its p50 against {recent.orders:,} orders", middle["million"], middle["recent"], 1.2, "ms")


class _Worker:
    """The product with one database open, in a process that collects when it is told to."""

    def __init__(self, name: str):
        database, now = copy(name)
        command = [sys.executable, "-m", __name__, str(database), str(now)]
        self._popen = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.orders, self.completed = self._hear()

    def collect(self, count: int) -> list[float]:
        """Milliseconds of each."""
        assert self._popen.stdin
        print(count, file=self._popen.stdin, flush=True)
        return self._hear()  # type: ignore[no-any-return]

    def end(self) -> None:
        self._popen.communicate()

    def _hear(self) -> Any:
        assert self._popen.stdout
        return json.loads(self._popen.stdout.readline())


def _work(database: str, now: int) -> None:
    clocks = [now]
    service = open_service(database, lambda: clocks[0])
    service.catch_up()
    documents = service.snapshots.current.documents
    flow, overview = documents["flow"], documents["overview"]
    assert flow
    assert overview
    print(json.dumps([overview.value.total_work_orders, flow.value.lead_time_hours.n]), flush=True)
    for count in sys.stdin:
        times = []
        for _ in range(int(count)):
            clocks[0] += service.settings["refresh_interval"]
            order = service.call("work_orders.create", {"description": "Fix the login"}, BY)
            service.call("work_orders.start", {"id": order.id}, BY)
            service.call("work_orders.complete", {"id": order.id}, BY)
            began = time.perf_counter()
            service.snapshots.collect()
            times.append((time.perf_counter() - began) * 1000)
        print(json.dumps(times), flush=True)
    service.stop()


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    _work(sys.argv[1], int(sys.argv[2]))

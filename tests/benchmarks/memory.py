"""Resident memory of the service while nobody asks it anything."""

import time
from collections.abc import Iterator

from tests.benchmarks.figures import Figure, at_most, say
from tests.benchmarks.history import copy
from tests.benchmarks.processes import Service
from tests.benchmarks.start import forget_checkpoints

REST, TOLD, PATIENCE = 10, 3, 120


def memory() -> Iterator[Figure]:
    with Service(None, "--demo") as service:
        service.until("/api/metrics/all")
        orders = _told(service)
        yield at_most(f"memory at rest of serve --demo after its history ({orders:,} orders)", _rest(service), 90, "MB")
    database, _ = copy("million")
    with Service(database) as service:
        service.until("/api/metrics/all")
        orders = service.get("/api/metrics/overview")["total_work_orders"]
        yield at_most(f"memory at rest with {orders:,} orders, started from a checkpoint", _rest(service), 130, "MB")
        yield Figure("the most that start held", f"{service.memory('VmHWM'):.0f} MB")
    forget_checkpoints(database)
    with Service(database) as service:
        service.until("/api/metrics/all", every=1)
        yield at_most(f"memory at rest with {orders:,} orders, all facts folded anew", _rest(service), 130, "MB")


def _told(service: Service) -> int:
    """How many orders the demo had told when its history was done: from then on it goes slowly."""
    known, since, deadline = 0, time.monotonic(), time.monotonic() + PATIENCE
    while time.monotonic() < deadline and (not known or time.monotonic() - since < TOLD):
        time.sleep(0.5)
        told = int(service.refreshed()["overview"]["total_work_orders"])
        if told > known + 5:
            known, since = told, time.monotonic()
    say(f"memory: the demo has told its history of {known:,} orders")
    return known


def _rest(service: Service) -> float:
    time.sleep(REST)
    held = service.memory()
    say(f"memory: {held:.0f} MB after {REST} s of rest")
    return held

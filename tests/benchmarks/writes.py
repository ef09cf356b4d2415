"""Durable work orders over HTTP, against raw sqlite3 that commits one such row at a time on the same disk."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bare import __name__ as bare
from tests.benchmarks.figures import CACHE, Figure, disk, median, number, say, share_of, shown_disk
from tests.benchmarks.history import BY, open_service
from tests.benchmarks.load import Load, load, request
from tests.benchmarks.processes import Service, run

ROUNDS, SECONDS, CONNECTIONS = 7, 2.0, 32
BODY = {
    "description": "Change the price list for customer 42", "bucket": "cost", "priority": "high", "sku_id": "sku-42",
}  # fmt: skip


def post() -> Iterator[Figure]:
    raw, own = _fresh("raw"), _fresh("post")
    asked = request("POST", "/api/work-orders", body=json.dumps(BODY).encode())
    product: list[Load] = []
    baseline: list[float] = []
    waits: list[float] = []
    with Service(own) as service:
        service.until("/api/metrics/all")
        used = service.cpu()
        for turn in range(ROUNDS):
            waits += disk()
            baseline.append(float(run(bare, "insert", str(raw), str(SECONDS))))
            product.append(load(service.port, asked, CONNECTIONS, SECONDS).require(201))
            say(f"post: round {turn + 1} of {ROUNDS}: {product[-1].rate:,.0f}/s, sqlite3 {baseline[-1]:,.0f}/s")
        used = service.cpu() - used
        service.ask("POST", "/api/metrics/refresh")
        told = service.refreshed()["overview"]["total_work_orders"]
    sent = sum(one.statuses["201"] for one in product)
    assert told >= sent, f"{sent:,} were acknowledged, {told:,} are there"
    rate = median(one.rate for one in product)
    what = f"POST /api/work-orders, durable, {CONNECTIONS} connections (client busy {max(p.busy for p in product):.0%})"
    yield share_of(what, rate, median(baseline), 0.5, "orders/s")
    p50, p99 = median(one.p50 for one in product), median(one.p99 for one in product)
    yield Figure(
        "how long such a POST takes",
        f"p50 {number(p50)} ms, p99 {number(p99)} ms",
        f"{used / told * 1000:.2f} ms of CPU",
    )
    once = median(1000 / rate for rate in baseline)
    yield Figure("the disk meanwhile", shown_disk(waits), f"a raw commit {number(once)} ms")


def _fresh(name: str) -> Path:
    """A database of the product's with one work order, which raw sqlite3 copies."""
    path = CACHE / f"{name}.db"
    for old in CACHE.glob(f"{path.name}*"):
        old.unlink()
    service = open_service(path)
    service.call("work_orders.create", BODY, BY)
    service.stop()
    return path

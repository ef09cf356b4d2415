"""Four years of a real help desk, sent over REST, come to the numbers that were worked out without this service."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.process import Service

pytestmark = [pytest.mark.real_data, pytest.mark.timeout(180)]

WIDE = {"TCPS_WINDOWS__LEAD_TIME": "10000d", "TCPS_WINDOWS__CYCLE_TIME": "10000d", "TCPS_REFRESH_INTERVAL": "1h"}
OPTIONS = {
    "item": "case", "activity": "activity", "time": "timestamp",
    "map": ["Take in charge ticket=in_progress", "Closed=completed"],
}  # fmt: skip
LEAD = {"n": 4559, "p50": 3436711, "p85": 4324115.8, "p95": 5006998.2, "mean": 3528656.26}
CYCLE = {"n": 4267, "p50": 3115950, "p85": 4133586, "p95": 4752661.3, "mean": 3186112.83}


class Told(NamedTuple):
    service: Service
    first: Any
    again: Any
    head: int
    documents: Any
    samples: dict[str, float]


@pytest.fixture(scope="module")
def told(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The log sent gzipped, all numbers then, and the log sent again as plain text."""
    data = (shared_data / "helpdesk.csv.gz").read_bytes()
    with Service(tmp_path_factory.mktemp("helpdesk"), env=WIDE) as service:
        answer = service.ingest(data, **OPTIONS)
        assert answer.status_code == 200, answer.text
        head = len(service.facts())
        documents, samples = service.refresh(), service.samples()
        again = service.ingest(gzip.decompress(data), **OPTIONS).json()
        yield Told(service, answer.json(), again, head, documents, samples)


def test_every_event_is_taken_in_once(told: Told) -> None:
    assert told.first == {
        "outcome": "accepted", "reason": "", "facts": 21221, "duplicates": 127, "rejected_rows": 0, "rejected": [],
    }  # fmt: skip


def test_sent_again_all_of_it_is_known(told: Told) -> None:
    assert (told.again["outcome"], told.again["facts"], told.again["duplicates"]) == ("duplicate", 0, 21348)
    kinds = Counter(fact["kind"] for fact in told.service.facts(since=told.head))
    assert set(kinds) <= {"intake.import_finished"}
    after = told.service.samples()
    moved = {name for name in after if name.startswith("tcps_") and after[name] != told.samples.get(name)}
    allowed = ("tcps_ingest_events_total", "tcps_collector_", "tcps_store_bytes")
    assert [name for name in moved if not name.startswith(allowed)] == []
    assert after['tcps_ingest_events_total{outcome="duplicate",source="csv"}'] == 127 + 21348


@pytest.mark.parametrize(("key", "expected"), [("lead_time_hours", LEAD), ("cycle_time_hours", CYCLE)])
def test_percentiles_are_within_1_percent_and_counts_exact(key: str, expected: dict[str, float], told: Told) -> None:
    shown = told.documents["flow"][key]
    assert shown["n"] == expected["n"]
    assert shown["mean"] * 3600 == pytest.approx(expected["mean"], rel=1e-6)
    for share in ("p50", "p85", "p95"):
        assert shown[share] * 3600 == pytest.approx(expected[share], rel=0.01), share


def test_counts_of_orders_are_exact(told: Told) -> None:
    overview, flow = told.documents["overview"], told.documents["flow"]
    assert (overview["total_work_orders"], overview["active_work_orders"], flow["reopened"]) == (4580, 18, 3)
    assert told.documents["kanban"]["total_wip"] == 18


def test_metrics_tell_the_same(told: Told) -> None:
    samples = told.samples
    assert samples["tcps_work_orders_total"] == 4580
    assert samples["tcps_work_orders_active"] == 18
    assert samples["tcps_work_orders_completed_total"] == samples["tcps_work_orders_completed"] == 4559
    assert samples["tcps_work_orders_reopened_total"] == 3
    assert samples['tcps_kanban_queued{bucket="reliability"}'] == 4
    assert samples["tcps_lead_time_avg"] * 3600 == pytest.approx(LEAD["mean"], rel=1e-6)
    assert samples["tcps_cycle_time_p50"] * 3600 == pytest.approx(CYCLE["p50"], rel=0.01)
    assert samples["tcps_cycle_time_p95"] * 3600 == pytest.approx(CYCLE["p95"], rel=0.01)
    for name, expected in [("lead", LEAD), ("cycle", CYCLE)]:
        family = f"tcps_work_order_{name}_time_seconds"
        assert samples[f'{family}_count{{bucket="reliability"}}'] == expected["n"]
        assert samples[f'{family}_sum{{bucket="reliability"}}'] == pytest.approx(
            expected["n"] * expected["mean"], rel=1e-6
        )
        assert samples[f'{family}_bucket{{bucket="reliability",le="7776000.0"}}'] == expected["n"]


def test_every_bucket_of_the_histograms_is_exact(told: Told) -> None:
    """Against the times of the orders themselves, as REST lists them."""
    completed = told.service.listed("/api/work-orders", status="completed")
    assert len(completed) == 4558
    active = told.service.listed("/api/work-orders", status="in_progress")
    done = [order for order in (*completed, *active) if order["completed_at"]]
    leads = [order["completed_at"] - order["created_at"] for order in done]
    worked_on = [order for order in done if order["started_at"] and order["started_at"] <= order["completed_at"]]
    cycles = [order["completed_at"] - order["started_at"] for order in worked_on]
    for name, times in [("lead", leads), ("cycle", cycles)]:
        start = f'tcps_work_order_{name}_time_seconds_bucket{{bucket="reliability",le="'
        bounds = {n.removeprefix(start)[:-2]: count for n, count in told.samples.items() if n.startswith(start)}
        assert len(bounds) == 20
        assert bounds == {bound: sum(time <= float(bound) * 1000 for time in times) for bound in bounds}

"""A number that is shown in two places is the same number: on two weeks of the demo line, which stands still here."""

from collections import Counter
from typing import Any

import pytest

from tests.e2e.process import Service, labelled, now

BUCKETS = ("reliability", "security", "cost", "compliance")
SEVERITIES = ("critical", "warning", "info")


class Shown:
    """All that one snapshot shows: `all`, each document of its own, the samples of /metrics; and the tables."""

    def __init__(self, service: Service):
        self.service = service
        service.refresh()
        self.samples = service.samples()
        self.all = service.get("/api/metrics/all").json()
        names = [name for name in self.all if name != "timestamp"]
        self.documents = {name: service.get(f"/api/metrics/{name}").json() for name in names}
        self.orders = service.listed("/api/work-orders")
        self.andons = service.listed("/api/andon")

    def __getattr__(self, name: str) -> Any:
        return self.all[name]


@pytest.fixture(scope="module")
def shown(demo_line: Service) -> Shown:
    return Shown(demo_line)


def test_the_line_has_something_to_show(shown: Shown) -> None:
    assert shown.overview["total_work_orders"] > 250
    assert shown.flow["reopened"] > 0
    assert shown.flow["lead_time_hours"]["n"] > 200
    assert len(shown.andon["recent_events"]) == 10


def test_each_document_is_the_one_in_all(shown: Shown) -> None:
    for name, document in shown.documents.items():
        aged = {"age_seconds": document["age_seconds"]}
        assert document == shown.all[name] | aged
        assert document["timestamp"] == shown.timestamp


def test_counts_of_orders_agree(shown: Shown) -> None:
    statuses = Counter(order["status"] for order in shown.orders)
    samples = shown.samples
    assert shown.overview["total_work_orders"] == samples["tcps_work_orders_total"] == len(shown.orders)
    active = statuses["in_progress"]
    assert shown.overview["active_work_orders"] == samples["tcps_work_orders_active"] == active
    assert shown.kanban["total_wip"] == sum(labelled(samples, "tcps_kanban_wip").values()) == active
    assert sum(value for name, value in samples.items() if name.startswith("tcps_work_orders_aging{")) == active
    completed = sum(order["completed_at"] is not None for order in shown.orders)
    assert samples["tcps_work_orders_completed_total"] == samples["tcps_work_orders_completed"] == completed
    reopened = shown.flow["reopened"]
    assert reopened == samples["tcps_work_orders_reopened_total"] == sum(map(times_reopened, shown.orders))


def times_reopened(order: dict[str, Any]) -> int:
    statuses = [moment["status"] for moment in order["history"]]
    return sum(before == "completed" for before in statuses[:-1])


@pytest.mark.parametrize("bucket", BUCKETS)
def test_numbers_of_a_bucket_agree(bucket: str, shown: Shown) -> None:
    orders = [order for order in shown.orders if order["bucket"] == bucket]
    statuses = Counter(order["status"] for order in orders)
    kanban, samples = shown.kanban[bucket], shown.samples
    assert kanban["current"] == labelled(samples, "tcps_kanban_wip")[bucket] == statuses["in_progress"]
    assert kanban["limit"] == labelled(samples, "tcps_kanban_wip_limit")[bucket]
    assert kanban["available"] == max(0, kanban["limit"] - kanban["current"])
    assert kanban["utilization"] == kanban["current"] / kanban["limit"]
    assert labelled(samples, "tcps_kanban_queued")[bucket] == statuses["queued"]
    opened = [order["sla_status"] for order in orders if order["status"] in ("queued", "blocked", "in_progress")]
    assert labelled(samples, "tcps_work_orders_sla_breached")[bucket] == opened.count("breached")
    assert labelled(samples, "tcps_work_orders_sla_warning")[bucket] == opened.count("warning")
    for name, times in [("lead", lead_seconds(orders)), ("cycle", cycle_seconds(orders))]:
        family = f"tcps_work_order_{name}_time_seconds"
        assert samples[f'{family}_count{{bucket="{bucket}"}}'] == len(times)
        # neither buckets nor the sum ever fall: a time that grew when its order was reopened may still show
        late = samples[f'{family}_bucket{{bucket="{bucket}",le="28800.0"}}'] - sum(time <= 28_800 for time in times)
        assert 0 <= late <= sum(map(times_reopened, orders))
        assert samples[f'{family}_sum{{bucket="{bucket}"}}'] >= sum(times) * 0.999


def lead_seconds(orders: list[dict[str, Any]]) -> list[float]:
    return [(order["completed_at"] - order["created_at"]) / 1000 for order in orders if order["completed_at"]]


def cycle_seconds(orders: list[dict[str, Any]]) -> list[float]:
    done = [order for order in orders if order["completed_at"] and order["started_at"]]
    return [(order["completed_at"] - order["started_at"]) / 1000 for order in done]


def test_times_and_throughput_agree(shown: Shown) -> None:
    overview, flow, samples = shown.overview, shown.flow, shown.samples
    assert overview["avg_lead_time_hours"] == flow["lead_time_hours"]["mean"] == samples["tcps_lead_time_avg"]
    assert flow["cycle_time_hours"]["p50"] == samples["tcps_cycle_time_p50"]
    assert flow["cycle_time_hours"]["p95"] == samples["tcps_cycle_time_p95"]
    rate = flow["throughput_rate"]
    assert overview["throughput_per_hour"] == samples["tcps_throughput_per_hour"] == rate["per_hour"]
    assert rate["skus_per_day"] == pytest.approx(24 * rate["per_hour"])
    leads, cycles = sorted(lead_seconds(shown.orders)), sorted(cycle_seconds(shown.orders))
    assert flow["lead_time_hours"]["n"] == len(leads)
    assert flow["lead_time_hours"]["mean"] == pytest.approx(sum(leads) / len(leads) / 3600, rel=1e-9)
    for name, times in [("lead_time_hours", leads), ("cycle_time_hours", cycles)]:
        for key, share in [("p50", 0.5), ("p85", 0.85), ("p95", 0.95)]:
            assert flow[name][key] == pytest.approx(interpolated(times, share) / 3600, rel=0.01), (name, key)
    assert sum(flow["cycle_time_distribution"].values()) == flow["cycle_time_hours"]["n"] == len(cycles)


def interpolated(values: list[float], share: float) -> float:
    position = (len(values) - 1) * share
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)


def test_numbers_of_andons_agree(shown: Shown) -> None:
    andon, samples = shown.andon, shown.samples
    still = [one for one in shown.andons if one["status"] != "resolved"]
    assert shown.overview["open_andons"] == andon["total_open"] == samples["tcps_andon_events_open"] == len(still)
    waiting = [one for one in still if one["status"] == "open"]
    assert andon["unacknowledged"] == sum(labelled(samples, "tcps_andon_unacknowledged").values()) == len(waiting)
    for severity in SEVERITIES:
        count = sum(one["severity"] == severity for one in still)
        assert andon["by_severity"][severity] == labelled(samples, "tcps_andon_events_by_severity")[severity] == count
        total = sum(one["severity"] == severity for one in shown.andons)
        assert labelled(samples, "tcps_andon_events_total")[severity] == total
    assert samples["tcps_skus_stopped"] == len({one["sku_id"] for one in still})
    oldest = labelled(samples, "tcps_andon_oldest_open_timestamp_seconds")
    assert {s: at * 1000 for s, at in oldest.items()} == {
        one["severity"]: one["timestamp"] for one in sorted(still, key=lambda one: -one["timestamp"])
    }


def test_times_of_andons_agree(shown: Shown) -> None:
    andon, samples = shown.andon, shown.samples
    answered = [one["acknowledged_at"] - one["timestamp"] for one in shown.andons if one["acknowledged_at"]]
    resolved = [one["resolved_at"] - one["timestamp"] for one in shown.andons if one["status"] == "resolved"]
    for key, family, times in [
        ("mtta_seconds", "tcps_andon_time_to_acknowledge_seconds", answered),
        ("mttr_seconds", "tcps_andon_time_to_resolve_seconds", resolved),
    ]:
        assert samples[f"{family}_count"] == len(times)
        assert samples[f"{family}_sum"] == pytest.approx(sum(times) / 1000)
        assert andon[key] == pytest.approx(sum(times) / len(times) / 1000)


def test_the_newest_andons_are_those_of_the_list(shown: Shown) -> None:
    keys = ("id", "failure_type", "sku_id", "stage", "severity", "status", "timestamp")
    listed = [{key: one[key] for key in keys} for one in shown.andons[:10]]
    assert [{key: one[key] for key in keys} for one in shown.andon["recent_events"]] == listed


def test_active_orders_are_those_of_the_list_oldest_first(shown: Shown) -> None:
    active = [order for order in shown.orders if order["status"] == "in_progress"]
    oldest = sorted(active, key=lambda order: order["started_at"])[:10]
    assert [one["id"] for one in shown.flow["active_work_orders"]] == [order["id"] for order in oldest]
    for one, order in zip(shown.flow["active_work_orders"], oldest, strict=True):
        for key in ("bucket", "priority", "current_stage"):
            assert one[key] == order[key]
        assert one["elapsed_hours"] == pytest.approx((shown.timestamp - order["started_at"]) / 3_600_000)
    assert shown.flow["aging"]["oldest"] == next(iter(shown.flow["active_work_orders"]), None)


def test_what_is_null_has_no_sample(shown: Shown) -> None:
    assert shown.overview["quality_gate_pass_rate"] is None
    assert not [name for name in shown.samples if name.startswith("tcps_quality_gate_pass_rate")]
    assert not [name for name in shown.samples if name.startswith("tcps_kaizen_")]


def test_health_of_the_line_is_weighed_from_the_numbers_beside_it(shown: Shown) -> None:
    overview, health = shown.overview, shown.overview["system_health"]
    andon = 1 - min(1, overview["open_andons"] / 10)
    throughput = min(1, overview["throughput_per_hour"] / 5)
    lead = max(0, 1 - overview["avg_lead_time_hours"] / 100)
    assert (health["quality"], health["andon"]) == (None, andon)
    assert (health["throughput"], health["lead_time"]) == (pytest.approx(throughput), pytest.approx(lead))
    assert health["overall"] == pytest.approx((0.3 * andon + 0.2 * throughput + 0.2 * lead) / 0.7)


def test_the_export_is_the_same_report(shown: Shown) -> None:
    exported = shown.service.get("/api/export/json").json()
    for name, document in shown.documents.items():
        assert exported[name] | {"age_seconds": 0} == document | {"age_seconds": 0}


def test_the_ledger_holds_a_fact_for_each_of_them(shown: Shown) -> None:
    kinds = Counter(fact["kind"] for fact in shown.service.facts())
    assert kinds["work_orders.created"] == len(shown.orders)
    assert kinds["andon.raised"] == len(shown.andons)
    assert kinds["work_orders.reopened"] == shown.flow["reopened"]
    assert shown.samples["tcps_view_lag_facts"] == 0
    assert shown.samples["tcps_store_bytes"] > 100_000
    assert abs(shown.samples['tcps_collector_last_success_timestamp_seconds{collector="flow"}'] - now() / 1000) < 60

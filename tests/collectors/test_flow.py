"""How work flows, from small cases whose numbers fit on a hand: windows, bands, percentiles, ages, bottlenecks."""

from typing import Any

import pytest

from tests.collectors.asking import order, started
from tests.line import DAY, HOUR, MINUTE, NOW, Line


def done(line: Line, ended: int, cycle: int | None, lead: int, item: str, bucket: str = "reliability") -> None:
    """An order that ended then, after so much cycle and lead time."""
    row: dict[str, Any] = {"item": item, "created_at": ended - lead, "completed_at": ended, "bucket": bucket}
    if cycle is not None:
        row["started_at"] = ended - cycle
    line.call("work_orders.record", wholes=[row])


def several(line: Line, *cycles: int, ended: int = NOW) -> None:
    for number, cycle in enumerate(cycles):
        done(line, ended - number, cycle, cycle + HOUR, f"T-{number}")


def test_a_line_without_work_has_zeros_and_nulls(line: Line) -> None:
    found = line.document("flow")
    nothing = {"p50": None, "p85": None, "p95": None, "mean": None, "n": 0}
    assert {name: found[name] for name in list(found)[4:]} == {
        "active_work_orders": [], "throughput_rate": {"skus_per_day": 0, "per_hour": 0, "trend": "stable", "n": 0},
        "cycle_time_distribution": {"0-24h": 0, "24-48h": 0, "48-72h": 0, "72h+": 0}, "cycle_time_hours": nothing,
        "lead_time_hours": nothing, "bottlenecks": [], "reopened": 0,
        "aging": {"p50_hours": None, "p85_hours": None, "past_p50": 0, "past_p85": 0, "oldest": None},
    }  # fmt: skip
    shown = line.metrics()
    absent = {"tcps_lead_time_avg", "tcps_cycle_time_p50", "tcps_cycle_time_p95"}
    assert not absent & set(shown)
    assert shown["tcps_throughput_per_hour"] == 0
    assert shown['tcps_work_order_lead_time_seconds_count{bucket="cost"}'] == 0


def test_bands_have_inclusive_upper_bounds(line: Line) -> None:
    several(line, 0, DAY, DAY + 1, 2 * DAY, 2 * DAY + 1, 3 * DAY, 3 * DAY + 1, 9 * DAY)
    assert line.document("flow")["cycle_time_distribution"] == {"0-24h": 2, "24-48h": 2, "48-72h": 2, "72h+": 2}


def test_percentiles_interpolate_between_ranks_and_the_mean_is_exact(line: Line) -> None:
    several(line, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 100 * HOUR)
    cycle = line.document("flow")["cycle_time_hours"]
    assert (cycle["mean"], cycle["n"]) == (23.0, 5)
    assert cycle["p50"] == pytest.approx(4, rel=0.01)
    assert cycle["p85"] == pytest.approx(8 + 0.4 * 92, rel=0.01)
    assert cycle["p95"] == pytest.approx(8 + 0.8 * 92, rel=0.01)
    shown = line.metrics()
    assert (shown["tcps_cycle_time_p50"], shown["tcps_cycle_time_p95"]) == (cycle["p50"], cycle["p95"])
    assert shown["tcps_lead_time_avg"] == line.document("overview")["avg_lead_time_hours"] == 24.0


@pytest.mark.parametrize("cycle", [0, 1, 7, 999, MINUTE, HOUR, 400 * DAY])
def test_one_sample_is_every_percentile(line: Line, cycle: int) -> None:
    done(line, NOW, cycle, cycle, "T-1")
    found = line.document("flow")["cycle_time_hours"]
    for name in ("p50", "p85", "p95"):
        assert found[name] * HOUR == pytest.approx(cycle, rel=0.01)
    assert found["mean"] * HOUR == pytest.approx(cycle)


def test_an_order_without_a_start_counts_for_lead_time_only(line: Line) -> None:
    done(line, NOW, None, DAY, "T-1")
    found = line.document("flow")
    assert (found["lead_time_hours"]["n"], found["cycle_time_hours"]["n"]) == (1, 0)
    assert line.metrics()['tcps_work_order_cycle_time_seconds_count{bucket="reliability"}'] == 0


def test_a_window_holds_what_ended_after_its_begin_and_by_now(tmp_path) -> None:
    line = Line(tmp_path, **{"windows.lead_time": "2d", "windows.cycle_time": "1d", "windows.throughput": "6h"})
    done(line, NOW, HOUR, HOUR, "T-1")
    seen = []
    for at in (NOW, NOW + 6 * HOUR - 1, NOW + 6 * HOUR, NOW + DAY - 1, NOW + DAY, NOW + 2 * DAY - 1, NOW + 2 * DAY):
        line.now = at
        found = line.document("flow")
        numbers = [found[name]["n"] for name in ("throughput_rate", "cycle_time_hours", "lead_time_hours")]
        seen.append((*numbers, found["cycle_time_distribution"]["0-24h"]))
    line.close()
    assert seen == [(1, 1, 1, 1), (1, 1, 1, 1), (0, 1, 1, 1), (0, 1, 1, 1), (0, 0, 1, 0), (0, 0, 1, 0), (0, 0, 0, 0)]


def test_what_ends_a_little_ahead_counts_when_that_moment_has_come(line: Line) -> None:
    one = started(line)
    line.call("work_orders.complete", id=one, occurred_at=NOW + MINUTE)
    assert line.document("flow")["lead_time_hours"]["n"] == 0
    assert line.metrics()["tcps_work_orders_completed_total"] == 1, "totals are of what is known"
    line.now += MINUTE
    assert line.document("flow")["lead_time_hours"]["n"] == 1


def test_throughput_is_what_was_completed_in_a_day(line: Line) -> None:
    several(line, *[HOUR] * 12)
    done(line, NOW - DAY, HOUR, HOUR, "too old")
    rate = line.document("flow")["throughput_rate"]
    assert (rate["n"], rate["skus_per_day"], rate["per_hour"]) == (12, 12, 0.5)
    assert line.metrics()["tcps_throughput_per_hour"] == line.document("overview")["throughput_per_hour"] == 0.5


@pytest.mark.parametrize(
    ("last", "before", "trend"),
    [(0, 0, "stable"), (3, 0, "stable"), (3, 3, "stable"), (4, 3, "increasing"), (2, 3, "decreasing"),
     (0, 1, "decreasing")],
)  # fmt: skip
def test_the_trend_is_the_last_week_against_the_one_before(line: Line, last: int, before: int, trend: str) -> None:
    for number in range(last):
        done(line, NOW - 7 * DAY + 1 + number, HOUR, HOUR, f"last {number}")
    for number in range(before):
        done(line, NOW - 7 * DAY - number, HOUR, HOUR, f"before {number}")
    done(line, NOW - 14 * DAY, HOUR, HOUR, "long ago")
    assert line.document("flow")["throughput_rate"]["trend"] == trend


def test_reopening_moves_the_one_sample_of_an_order(line: Line) -> None:
    one = started(line, occurred_at=NOW - DAY)
    line.now += HOUR
    line.call("work_orders.complete", id=one)
    line.now += HOUR
    line.call("work_orders.reopen", id=one)
    found = line.document("flow")
    assert (found["lead_time_hours"]["mean"], found["reopened"]) == (25.0, 1)
    assert len(found["active_work_orders"]) == 1
    line.now += HOUR
    line.call("work_orders.complete", id=one)
    found = line.document("flow")
    assert (found["lead_time_hours"]["mean"], found["lead_time_hours"]["n"], found["reopened"]) == (27.0, 1, 1)
    shown = line.metrics()
    assert (shown["tcps_work_orders_completed_total"], shown["tcps_work_orders_reopened_total"]) == (1, 1)


def test_each_reopening_of_an_order_counts(line: Line) -> None:
    one = started(line)
    for _ in range(3):
        line.call("work_orders.complete", id=one)
        line.call("work_orders.reopen", id=one)
    assert line.document("flow")["reopened"] == line.metrics()["tcps_work_orders_reopened_total"] == 3


# --- work in progress --------------------------------------------------------------------------------------------


def active(line: Line, ages: list[int], bucket: str = "cost") -> list[str]:
    line.call("kanban.set_limit", bucket=bucket, limit=None)
    several = []
    for age in ages:
        one = order(line, bucket=bucket, occurred_at=NOW - age - HOUR)
        line.call("work_orders.start", id=one, occurred_at=NOW - age)
        several.append(one)
    return several


def test_the_ten_oldest_in_progress_are_shown(line: Line) -> None:
    several = active(line, [number * HOUR for number in range(12)])
    line.call("work_orders.progress", id=several[11], stage="testing")
    line.call("work_orders.change", id=several[11], priority="critical")
    found = line.document("flow")
    assert [one["id"] for one in found["active_work_orders"]] == several[:1:-1]
    oldest = {
        "id": several[11], "bucket": "cost", "priority": 9, "current_stage": "test_execution", "elapsed_hours": 11.0,
    }  # fmt: skip
    assert found["active_work_orders"][0] == oldest == found["aging"]["oldest"]
    line.now += HOUR
    assert line.document("flow")["active_work_orders"][0]["elapsed_hours"] == 12.0


def test_work_that_never_started_is_as_old_as_its_demand(line: Line) -> None:
    done(line, NOW - DAY, None, DAY, "T-1")
    line.call("work_orders.reopen", id="WO-1")
    assert line.document("flow")["aging"]["oldest"]["elapsed_hours"] == 48.0


def test_aging_tells_who_is_older_than_the_cycle_times(line: Line) -> None:
    several(line, *[10 * HOUR] * 20)
    active(line, [HOUR, 9 * HOUR, 11 * HOUR, 30 * HOUR])
    active(line, [12 * HOUR], "security")
    aging = line.document("flow")["aging"]
    assert (aging["past_p50"], aging["past_p85"]) == (3, 3)
    assert aging["p50_hours"] == pytest.approx(10, rel=0.01)
    shown = line.metrics()
    bands = {
        (bucket, band): shown[f'tcps_work_orders_aging{{band="{band}",bucket="{bucket}"}}']
        for bucket in ("cost", "security") for band in ("under_p50", "p50_to_p85", "over_p85")
    }  # fmt: skip
    assert {key: count for key, count in bands.items() if count} == {
        ("cost", "under_p50"): 2, ("cost", "over_p85"): 2, ("security", "over_p85"): 1,
    }  # fmt: skip


def test_between_the_cycle_times_lies_a_band_of_its_own(line: Line) -> None:
    several(line, *[10 * HOUR] * 8, *[40 * HOUR] * 2)
    active(line, [20 * HOUR])
    aging = line.document("flow")["aging"]
    assert (aging["past_p50"], aging["past_p85"]) == (1, 0)
    assert line.metrics()['tcps_work_orders_aging{band="p50_to_p85",bucket="cost"}'] == 1


def test_without_cycle_times_nothing_is_known_to_be_old(line: Line) -> None:
    active(line, [99 * DAY])
    aging = line.document("flow")["aging"]
    assert (aging["past_p50"], aging["p50_hours"], aging["oldest"]["elapsed_hours"]) == (0, None, 99 * 24.0)
    assert line.metrics()['tcps_work_orders_aging{band="under_p50",bucket="cost"}'] == 1


def test_bottlenecks_are_buckets_used_beyond_four_fifths_the_fullest_first(line: Line) -> None:
    for bucket, of, work in (("reliability", 5, 4), ("security", 6, 5), ("cost", 1, 1), ("compliance", 1, 2)):
        line.call("kanban.set_limit", bucket=bucket, limit=None)
        for _ in range(work):
            started(line, bucket=bucket)
        line.call("kanban.set_limit", bucket=bucket, limit=of)
    assert line.document("flow")["bottlenecks"] == [
        {"bucket": "compliance", "utilization": 2.0}, {"bucket": "cost", "utilization": 1.0},
        {"bucket": "security", "utilization": 5 / 6},
    ]  # fmt: skip


def test_bounds_of_the_histograms_are_inclusive_and_exact(line: Line) -> None:
    several(line, 15 * MINUTE, 15 * MINUTE + 1, 90 * DAY, 90 * DAY + 1)
    shown = line.metrics()
    family = "tcps_work_order_cycle_time_seconds"
    counts = {
        le: shown[f'{family}_bucket{{bucket="reliability",le="{le}"}}']
        for le in ("900.0", "1800.0", "5184000.0", "7776000.0", "+Inf")
    }
    assert counts == {"900.0": 1, "1800.0": 2, "5184000.0": 2, "7776000.0": 3, "+Inf": 4}
    assert shown[f'{family}_sum{{bucket="reliability"}}'] == (30 * MINUTE + 2 + 180 * DAY) / 1000
    bounds = [name for name in shown if name.startswith(f'{family}_bucket{{bucket="cost"')]
    assert len(bounds) == 20, "19 bounds of the contract and +Inf"

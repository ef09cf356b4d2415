"""The numbers of one told story: the exact text of /metrics, and what a pencil makes of the same story."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import story
from tests.line import MINUTE, NOW, Line

GOLDEN = Path(__file__).parent / "golden" / "story.prom"

# What differs from run to run: of the process, of Python, of the machine and its speed, the commit, the file's size.
VOLATILE = re.compile(
    r"(?:# (?:HELP|TYPE) )?"
    r"(?:process_|python_|target_info|tcps_build_info|tcps_store_bytes|tcps_collector_duration_seconds)"
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line at the end of the story."""
    line = Line(tmp_path_factory.mktemp("story"))
    story.tell(line)
    yield line
    line.close()


def exposed(line: Line) -> str:
    line.service.snapshots.collect()
    return line.service.telemetry.render().decode()


def steady(text: str) -> str:
    return "".join(each for each in text.splitlines(keepends=True) if not VOLATILE.match(each))


def test_the_story_is_exposed_to_the_letter(told: Line, update_golden: bool) -> None:
    text = steady(exposed(told))
    if update_golden:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text.splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines(), "see the diff of make golden"


def test_promtool_says_nothing_of_the_text(told: Line, tool: Callable[[str], Path]) -> None:
    command = [str(tool("promtool")), "check", "metrics"]
    done = subprocess.run(command, input=exposed(told), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_restart_exposes_the_same_but_for_what_the_process_counts(tmp_path: Path) -> None:
    line = Line(tmp_path)
    story.tell(line)
    before = steady(exposed(line))
    line.restart()
    after = steady(exposed(line))
    line.close()
    refused = 'tcps_kanban_refusals_total{bucket="security"}'
    assert f"{refused} 1.0\n" in before
    assert after == before.replace(f"{refused} 1.0\n", f"{refused} 0.0\n")


# --- worked out from tests/story.py with a pencil ----------------------------------------------------------------

# Lead times (h): WO-2 30 (completed again), WO-4 6.5, WO-5 49, WO-6 26, WO-9 48; cycle times: WO-2 29, WO-4 6 (the
# tracker's start), WO-5 42, WO-6 24. In progress: WO-1 since 1:30, WO-7 since 2:15, WO-3 since 48:00; it is 50:00.
# In the last 24 h (from 26:00, which is WO-6 and just too early) ended WO-2 and WO-5. Two of the four andons are open.
HEALTH = (0.3 * (1 - 2 / 10) + 0.2 * (2 / 24 / 5) + 0.2 * (1 - 31.9 / 100)) / 0.7

DOCUMENTS: dict[str, dict[str, Any]] = {
    "overview": {
        "total_work_orders": 11, "active_work_orders": 3, "open_andons": 2, "quality_gate_pass_rate": None,
        "avg_lead_time_hours": 31.9, "throughput_per_hour": 2 / 24, "system_health.overall": HEALTH,
        "system_health.quality": None, "system_health.andon": 0.8, "system_health.throughput": 1 / 60,
        "system_health.lead_time": 0.681, "window_seconds": 2_592_000, "stale": False, "age_seconds": 0,
    },
    "kanban": {
        "reliability": {"current": 0, "limit": 5, "available": 5, "utilization": 0.0},
        "security": {"current": 2, "limit": 2, "available": 0, "utilization": 1.0},
        "cost": {"current": 0, "limit": None, "available": None, "utilization": 0.0},
        "compliance": {"current": 1, "limit": 5, "available": 4, "utilization": 0.2},
        "total_wip": 3,
    },
    "andon": {
        "total_open": 2, "by_severity": {"critical": 1, "warning": 1, "info": 0}, "unacknowledged": 1,
        "mtta_seconds": (600 + 4200) / 2, "mttr_seconds": (7200 + 1800) / 2,
        "recent_events.0.id": "AND-4", "recent_events.0.status": "open", "recent_events.0.elapsed_seconds": 1200,
        "recent_events.1.id": "AND-3", "recent_events.1.status": "resolved", "recent_events.1.elapsed_seconds": 1800,
        "recent_events.2.id": "AND-2", "recent_events.2.status": "acknowledged",
        "recent_events.2.elapsed_seconds": 151_800, "recent_events.3.id": "AND-1",
        "recent_events.3.elapsed_seconds": 7200, "recent_events.3.stage": "test_execution",
    },
    "flow": {
        "lead_time_hours.n": 5, "lead_time_hours.mean": (30 + 6.5 + 49 + 26 + 48) / 5, "cycle_time_hours.n": 4,
        "cycle_time_hours.mean": (29 + 6 + 42 + 24) / 4, "throughput_rate.n": 2, "throughput_rate.skus_per_day": 2.0,
        "throughput_rate.per_hour": 2 / 24, "throughput_rate.trend": "increasing", "reopened": 1,
        "cycle_time_distribution": {"0-24h": 2, "24-48h": 2, "48-72h": 0, "72h+": 0},
        "bottlenecks": [{"bucket": "security", "utilization": 1.0}],
        "active_work_orders.0": {"id": "WO-1", "bucket": "security", "priority": 7, "current_stage": "test_execution",
                                 "elapsed_hours": 48.5},
        "active_work_orders.1.id": "WO-7", "active_work_orders.1.elapsed_hours": 47.75,
        "active_work_orders.2.id": "WO-3", "active_work_orders.2.elapsed_hours": 2.0,
        "aging.past_p50": 2, "aging.past_p85": 2, "aging.oldest.id": "WO-1",
    },
    "quality": {"test_pass_rate": {"value": None, "target": 0.8, "status": "no_data", "n": 0}, "pass_rate": None},
    "kaizen": {
        "week_over_week.lead_time_reduction": None, "top_waste_points": [], "trend_data.0.data.11.week": "2026-W48",
    },
}  # fmt: skip

# Between ranks: of 6, 24, 29, 42 the median lies half way from 24 to 29, p85 at rank 2.55, p95 at 2.85 (from 0);
# of 6.5, 26, 30, 48, 49 they lie at ranks 2, 3.4 and 3.8.
PERCENTILES = {
    "cycle_time_hours.p50": 26.5, "cycle_time_hours.p85": 36.15, "cycle_time_hours.p95": 40.05,
    "lead_time_hours.p50": 30, "lead_time_hours.p85": 48.4, "lead_time_hours.p95": 48.8, "aging.p50_hours": 26.5,
    "aging.p85_hours": 36.15,
}  # fmt: skip

SECONDS = NOW // 1000
LEAD, CYCLE = "tcps_work_order_lead_time_seconds", "tcps_work_order_cycle_time_seconds"
ANSWER, REPAIR = "tcps_andon_time_to_acknowledge_seconds", "tcps_andon_time_to_resolve_seconds"
METRICS = {
    "tcps_work_orders_total": 11, "tcps_work_orders_active": 3, "tcps_work_orders_completed_total": 5,
    "tcps_work_orders_completed": 5, "tcps_work_orders_reopened_total": 1, "tcps_lead_time_avg": 31.9,
    "tcps_throughput_per_hour": 2 / 24, "tcps_andon_events_open": 2, "tcps_skus_stopped": 2,
    'tcps_andon_events_by_severity{severity="critical"}': 1, 'tcps_andon_events_by_severity{severity="info"}': 0,
    'tcps_andon_events_total{severity="warning"}': 2, 'tcps_andon_events_total{severity="info"}': 1,
    'tcps_andon_unacknowledged{severity="critical"}': 0, 'tcps_andon_unacknowledged{severity="warning"}': 1,
    'tcps_andon_oldest_open_timestamp_seconds{severity="critical"}': SECONDS + 470 * 60,
    'tcps_andon_oldest_open_timestamp_seconds{severity="warning"}': SECONDS + 2980 * 60,
    'tcps_kanban_wip{bucket="security"}': 2, 'tcps_kanban_wip{bucket="compliance"}': 1,
    'tcps_kanban_wip_limit{bucket="security"}': 2, 'tcps_kanban_queued{bucket="reliability"}': 1,
    'tcps_kanban_queued{bucket="security"}': 0, 'tcps_kanban_refusals_total{bucket="security"}': 1,
    'tcps_work_orders_sla_breached{bucket="security"}': 2, 'tcps_work_orders_sla_warning{bucket="security"}': 0,
    'tcps_work_orders_sla_warning{bucket="compliance"}': 1, 'tcps_work_orders_sla_breached{bucket="compliance"}': 0,
    'tcps_work_orders_aging{band="over_p85",bucket="security"}': 1,
    'tcps_work_orders_aging{band="under_p50",bucket="security"}': 1,
    'tcps_work_orders_aging{band="over_p85",bucket="compliance"}': 1,
    # WO-2 took 6 h when it was completed first: the buckets from 8 h on have shown it ever since
    f'{LEAD}_bucket{{bucket="security",le="14400.0"}}': 0, f'{LEAD}_bucket{{bucket="security",le="28800.0"}}': 1,
    f'{LEAD}_bucket{{bucket="security",le="86400.0"}}': 1, f'{LEAD}_count{{bucket="security"}}': 1,
    f'{LEAD}_sum{{bucket="security"}}': 30 * 3600,
    # WO-4 6.5 h, WO-9 exactly 48 h, WO-5 49 h
    f'{LEAD}_bucket{{bucket="reliability",le="86400.0"}}': 1, f'{LEAD}_bucket{{bucket="reliability",le="172800.0"}}': 2,
    f'{LEAD}_bucket{{bucket="reliability",le="259200.0"}}': 3, f'{LEAD}_sum{{bucket="reliability"}}': 103.5 * 3600,
    # WO-4 took 4 h until the tracker told that it took 6
    f'{CYCLE}_bucket{{bucket="reliability",le="7200.0"}}': 0, f'{CYCLE}_bucket{{bucket="reliability",le="14400.0"}}': 1,
    f'{CYCLE}_bucket{{bucket="reliability",le="28800.0"}}': 1, f'{CYCLE}_count{{bucket="reliability"}}': 2,
    f'{CYCLE}_bucket{{bucket="reliability",le="86400.0"}}': 1,
    f'{CYCLE}_bucket{{bucket="reliability",le="172800.0"}}': 2,
    f'{CYCLE}_sum{{bucket="reliability"}}': 48 * 3600, f'{CYCLE}_bucket{{bucket="cost",le="57600.0"}}': 0,
    f'{CYCLE}_bucket{{bucket="cost",le="86400.0"}}': 1, f'{CYCLE}_count{{bucket="compliance"}}': 0,
    f'{ANSWER}_bucket{{le="300.0"}}': 0, f'{ANSWER}_bucket{{le="600.0"}}': 1, f'{ANSWER}_bucket{{le="3600.0"}}': 1,
    f'{ANSWER}_bucket{{le="7200.0"}}': 2, f"{ANSWER}_sum": 4800, f'{REPAIR}_bucket{{le="900.0"}}': 0,
    f'{REPAIR}_bucket{{le="1800.0"}}': 1, f'{REPAIR}_bucket{{le="7200.0"}}': 2, f"{REPAIR}_sum": 9000,
    'tcps_ingest_events_total{outcome="accepted",source="csv"}': 0, "tcps_view_lag_facts": 0,
    'tcps_collector_success{collector="flow"}': 1,
    'tcps_collector_last_success_timestamp_seconds{collector="flow"}': SECONDS + story.END * 60,
}  # fmt: skip
ABSENT = (
    'tcps_kanban_wip_limit{bucket="cost"}', 'tcps_andon_oldest_open_timestamp_seconds{severity="info"}',
    "tcps_quality_gate_pass_rate", "tcps_kaizen_lead_time_improvement",
)  # fmt: skip


def at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document[int(key) if isinstance(document, list) else key]
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_says_what_the_pencil_says(told: Line, name: str) -> None:
    document = told.document(name)
    found = {path: at(document, path) for path in DOCUMENTS[name]}
    assert found == {p: pytest.approx(v, rel=1e-12) if type(v) is float else v for p, v in DOCUMENTS[name].items()}
    assert document["timestamp"] == NOW + story.END * MINUTE


def test_percentiles_are_within_one_percent_of_the_pencil(told: Line) -> None:
    flow = told.document("flow")
    assert {path: at(flow, path) for path in PERCENTILES} == pytest.approx(PERCENTILES, rel=0.01)
    shown = told.metrics()
    assert [shown["tcps_cycle_time_p50"], shown["tcps_cycle_time_p95"]] == pytest.approx([26.5, 40.05], rel=0.01)


def test_metrics_say_what_the_pencil_says(told: Line) -> None:
    shown = told.metrics()
    assert {name: shown[name] for name in METRICS} == pytest.approx(METRICS, rel=1e-12)
    assert [name for name in ABSENT if name in shown] == []

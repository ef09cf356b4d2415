"""`serve --demo`: within a minute a line with numbers everywhere, in a database that is thrown away."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.process import Service, now, wait_until

COUNTS = ("overview.total_work_orders", "overview.throughput_per_hour", "kanban.total_wip")
MAY_BE_NULL = ("quality", "kaizen", "overview.quality_gate_pass_rate", "overview.system_health.quality")


class Demo(NamedTuple):
    """The service, and the folder for its temporary files."""

    service: Service
    temporary: Path


def unmeasured(value: Any, path: str = "") -> list[str]:
    """The paths of what is null or empty, but for what nothing measures yet."""
    if path.startswith(MAY_BE_NULL):
        return []
    if isinstance(value, dict):
        return [each for name, part in value.items() for each in unmeasured(part, f"{path}.{name}".lstrip("."))]
    empty = value is None or value == [] or (path in COUNTS and value == 0)
    return [path] if empty and not path.endswith(("window_seconds", "bottlenecks", ".stage", "current_stage")) else []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Once its documents hold numbers, of a history that reaches to now."""
    folder, temporary = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("temporary")
    env = {"TMPDIR": str(temporary), "TCPS_DEMO_PACE": "600", "TCPS_REFRESH_INTERVAL": "1s"}
    with Service(folder, "--demo", env=env) as service:
        wait_until(service.has_told_its_history, "a history that reaches to now", 60)
        wait_until(lambda: not unmeasured(service.refresh()), "numbers in every document", 10)
        yield Demo(service, temporary)


def test_every_document_holds_numbers(demo: Demo) -> None:
    everything = demo.service.refresh()
    assert unmeasured(everything) == []
    assert everything["overview"]["total_work_orders"] > 500
    assert everything["flow"]["lead_time_hours"]["n"] > 300
    assert everything["kanban"]["total_wip"] > 0
    assert len(everything["andon"]["recent_events"]) == 10
    assert 0 < everything["overview"]["system_health"]["overall"] <= 1


def test_metrics_show_them_too(demo: Demo) -> None:
    samples = demo.service.samples()
    for name in (
        "tcps_work_orders_total", "tcps_work_orders_completed_total", "tcps_work_orders_active", "tcps_lead_time_avg",
        "tcps_cycle_time_p50", "tcps_cycle_time_p95", "tcps_throughput_per_hour", "tcps_work_orders_reopened_total",
    ):  # fmt: skip
        assert samples[name] > 0, name
    for bucket in ("reliability", "security", "cost", "compliance"):
        assert samples[f'tcps_work_order_lead_time_seconds_count{{bucket="{bucket}"}}'] > 0
    assert not [name for name, value in samples.items() if name.startswith("tcps_collector_success") and value != 1]


def test_the_page_shows_them(demo: Demo) -> None:
    total = demo.service.refresh()["overview"]["total_work_orders"]
    answer = demo.service.get("/")
    text = re.sub(r"<[^>]*>", " ", answer.text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    ever = re.search(r"of ([\d,]+) ever recorded", text)
    assert ever
    assert total <= int(ever[1].replace(",", "")) <= total + 50
    for word in ("reliability", "security", "cost", "compliance", "AND-", "Throughput", "Lead time"):
        assert word in text
    assert "None" not in text
    assert "Traceback" not in text


def test_the_line_goes_on_living(demo: Demo) -> None:
    begun = now()

    def fresh() -> bool:
        facts = [json.loads(line) for line in demo.service.log().splitlines()[-100:] if '"by":"demo:' in line]
        return any(fact.get("occurred_at", 0) > begun for fact in facts)

    wait_until(fresh, "a fact of this very moment", 20)


def test_commands_work_beside_it(demo: Demo) -> None:
    order = demo.service.create(bucket="cost")
    assert demo.service.act(order, "cancel", reason="only a try").json()["status"] == "cancelled"


def test_started_again_on_a_named_database_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Told twice, history would count twice, and orders in progress that nobody goes on with would fill the line."""
    totals = []
    for _ in range(2):
        with Service(tmp_path, "--demo", "--database", "sqlite:///tcps.db", env={"TCPS_DEMO_DAYS": "3"}) as service:
            wait_until(service.has_told_its_history, "a history that reaches to now", 60)
            time.sleep(1)
            totals.append(service.refresh()["overview"]["total_work_orders"])
    assert totals[0] <= totals[1] < 1.3 * totals[0]


def test_its_database_is_thrown_away(demo: Demo) -> None:
    """The last of this file: it ends the demo."""
    (folder,) = demo.temporary.iterdir()
    assert folder.name.startswith("tcps-")
    assert list(folder.glob("*.db"))
    demo.service.stop()
    assert list(demo.temporary.iterdir()) == []
    assert not (demo.service.folder / "tcps.db").exists()

"""History that happened elsewhere: late, in any order, told twice; nothing refuses it and the numbers follow."""

from itertools import permutations
from typing import Any

import pytest

from tests.collectors.asking import ask, cord, head, kinds, order, refused, started
from tests.line import DAY, HOUR, NOW, Line

START = NOW - 10 * DAY


def entry(what: str, hours: float, item: str = "T-1") -> dict[str, Any]:
    return {"item": item, "at": START + round(hours * HOUR), "what": what, "activity": f"{what} there"}


def record(line: Line, *entries: dict[str, Any], **body: Any) -> tuple[int, int]:
    told = line.call("work_orders.record", entries=list(entries), **body)
    return told["accepted"], told["duplicates"]


def whole(line: Line, **row: Any) -> bool:
    told = line.call("work_orders.record", wholes=[{"item": "T-1", "created_at": START} | row])
    return bool(told["accepted"])


def item(line: Line, name: str = "T-1") -> Any:
    found = ask(line, "work_orders.find", limit=500)["work_orders"]
    return next(one for one in found if one["external_id"] == name)


def times(line: Line) -> tuple[float | None, float | None]:
    flow = line.document("flow")
    return flow["lead_time_hours"]["mean"], flow["cycle_time_hours"]["mean"]


def test_the_first_event_of_an_item_creates_it(line: Line) -> None:
    assert record(line, entry("noted", 0), entry("started", 1), entry("completed", 5)) == (3, 0)
    one = item(line)
    shown = {name: one[name] for name in ("id", "description", "bucket", "priority", "status", "created_at")}
    assert shown == {
        "id": "WO-1", "description": "T-1", "bucket": "reliability", "priority": 5, "status": "completed",
        "created_at": START,
    }  # fmt: skip
    assert times(line) == (5.0, 4.0)
    assert kinds(line)[-3:] == ["work_orders.noted", "work_orders.started", "work_orders.completed"]


def test_each_event_is_one_fact_and_a_known_one_is_none(line: Line) -> None:
    assert record(line, entry("noted", 0), entry("started", 1)) == (2, 0)
    before = head(line)
    assert record(line, entry("started", 1), entry("noted", 0), entry("started", 1)) == (0, 3)
    assert head(line) == before
    assert record(line, entry("completed", 5), entry("completed", 5), entry("noted", 0)) == (1, 2)
    assert head(line) == before + 1


def test_limits_and_andons_do_not_refuse_history(line: Line) -> None:
    line.call("kanban.set_limit", bucket="reliability", limit=0)
    one = order(line, external_id="T-1", sku_id="auth@1", occurred_at=START)
    cord(line, "auth@1")
    assert refused(line, "work_orders.start", id=one) == "423 line_stopped"
    assert record(line, entry("started", 1), entry("started", 1, "T-2")) == (2, 0)
    assert line.document("kanban")["reliability"] == {"current": 2, "limit": 0, "available": 0, "utilization": 1.0}
    record(line, entry("completed", 2))
    assert item(line)["status"] == "completed"


def test_a_late_event_is_counted_where_it_happened(line: Line) -> None:
    one = started(line, external_id="T-1", occurred_at=START)
    line.now += HOUR
    line.call("work_orders.complete", id=one)
    assert times(line) == (241.0, 1.0)
    record(line, entry("started", 48))
    assert times(line) == (241.0, 193.0)
    record(line, entry("noted", -24))
    assert times(line) == (265.0, 193.0)
    assert item(line)["sla_deadline_at"] == START - DAY + 168 * HOUR


def test_pieces_of_a_log_may_come_in_any_order(tmp_path) -> None:
    log = [entry("noted", 0), entry("started", 2), entry("completed", 6), entry("completed", 9)]
    seen = set()
    for number, shuffled in enumerate(permutations(log)):
        folder = tmp_path / str(number)
        folder.mkdir()
        line = Line(folder)
        for one in shuffled:
            record(line, one)
        document = line.document("flow")
        seen.add((times(line), document["reopened"], document["throughput_rate"]["n"], item(line)["status"]))
        line.close()
    assert seen == {((9.0, 7.0), 1, 0, "completed")}


def test_what_was_started_after_its_completion_counts_for_lead_time_only(line: Line) -> None:
    record(line, entry("noted", 0), entry("completed", 6), entry("started", 8))
    assert times(line) == (6.0, None)
    assert (item(line)["status"], line.document("flow")["reopened"]) == ("in_progress", 1)
    record(line, entry("completed", 10))
    assert times(line) == (10.0, 2.0)


def test_a_new_item_comes_into_being_in_the_bucket_that_is_named(line: Line) -> None:
    record(line, entry("noted", 0), entry("noted", 1, "T-2") | {"bucket": "cost"})
    assert (item(line)["bucket"], item(line, "T-2")["bucket"]) == ("reliability", "cost")
    record(line, entry("noted", 3) | {"bucket": "cost"})
    assert item(line)["bucket"] == "reliability", "an order stays where it is"
    body = {"entries": [entry("noted", 0, "T-3") | {"bucket": "sales"}]}
    assert refused(line, "work_orders.record", **body) == "422 invalid"


# --- wide rows ---------------------------------------------------------------------------------------------------


def test_a_wide_row_tells_all_of_an_item(line: Line) -> None:
    assert whole(
        line, started_at=START + HOUR, completed_at=START + 5 * HOUR, status="completed", bucket="security",
        priority="high", sku_id="auth@1",
    )  # fmt: skip
    one = item(line)
    shown = {name: one[name] for name in ("bucket", "priority", "sku_id", "status", "started_at", "completed_at")}
    assert shown == {
        "bucket": "security", "priority": 7, "sku_id": "auth@1", "status": "completed", "started_at": START + HOUR,
        "completed_at": START + 5 * HOUR,
    }  # fmt: skip
    assert times(line) == (5.0, 4.0)


def test_a_repeated_wide_row_updates_or_is_a_duplicate(line: Line) -> None:
    assert whole(line, started_at=START + HOUR)
    before = head(line)
    assert not whole(line, started_at=START + HOUR)
    assert head(line) == before
    assert whole(line, started_at=START + HOUR, completed_at=START + 2 * HOUR, bucket="cost")
    assert head(line) == before + 1
    assert (item(line)["status"], item(line)["bucket"], times(line)) == ("completed", "cost", (2.0, 1.0))
    assert whole(line)
    assert (item(line)["status"], item(line)["bucket"], times(line)) == ("queued", "cost", (None, None))


def test_a_start_after_the_completion_of_a_wide_row_counts_for_nothing(line: Line) -> None:
    """Contract, section 3: "orders [...] started after their completion, count for lead only"."""
    row = {"started_at": START + 3 * HOUR, "completed_at": START + 2 * HOUR, "status": "completed"}
    whole(line, **row)
    assert (item(line)["status"], times(line), line.document("flow")["reopened"]) == ("completed", (2.0, None), 0)
    assert not whole(line, **row)


@pytest.mark.parametrize("later", [0, 5 * HOUR])
def test_such_a_row_can_be_corrected(line: Line, later: int) -> None:
    whole(line, started_at=START + 3 * HOUR, completed_at=START + 2 * HOUR)
    begun = START + later
    whole(line, created_at=begun, started_at=begun + 3 * HOUR, completed_at=begun + 2 * HOUR + 1)
    assert (item(line)["status"], item(line)["created_at"]) == ("completed", START + later)


def test_a_wide_row_keeps_what_tables_do_not_tell(line: Line) -> None:
    one = started(line, external_id="T-1", description="Rotate the key", labels=["ops"], occurred_at=START)
    line.now += HOUR
    line.call("work_orders.progress", id=one, stage="compilation")
    whole(line, started_at=START + HOUR)
    kept = item(line)
    assert (kept["description"], kept["labels"], kept["current_stage"]) == ("Rotate the key", ["ops"], "compilation")


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({}, "queued"), ({"status": "queued"}, "queued"), ({"status": "blocked"}, "blocked"),
        ({"started_at": START + 1, "status": "in_progress"}, "in_progress"),
        ({"started_at": START + 1, "completed_at": START + 9, "status": "completed"}, "completed"),
        ({"completed_at": START + 9}, "completed"), ({"cancelled_at": START + 9, "status": "cancelled"}, "cancelled"),
        ({"started_at": START, "completed_at": START}, "completed"),
    ],
)  # fmt: skip
def test_a_wide_row_lands_with_its_status(line: Line, row, status: str) -> None:
    whole(line, **row)
    assert item(line)["status"] == status


def test_counters_never_fall_when_history_corrects_them(line: Line) -> None:
    whole(line, started_at=START, completed_at=START + HOUR)
    whole(line, started_at=START)
    shown = line.metrics()
    assert (shown["tcps_work_orders_completed_total"], shown["tcps_work_orders_completed"]) == (1, 1)
    assert shown['tcps_work_order_lead_time_seconds_count{bucket="reliability"}'] == 1
    assert line.document("flow")["lead_time_hours"]["n"] == 0
    whole(line, started_at=START, completed_at=START + 2 * HOUR)
    shown = line.metrics()
    assert shown["tcps_work_orders_completed_total"] == 1
    assert shown['tcps_work_order_lead_time_seconds_count{bucket="reliability"}'] == 1
    assert shown['tcps_work_order_lead_time_seconds_bucket{bucket="reliability",le="3600.0"}'] == 1


def test_a_sum_never_falls_when_history_shortens_it(line: Line) -> None:
    for hours in (5, 1, 2):
        whole(line, started_at=START, completed_at=START + hours * HOUR)
        shown = line.metrics()
        for family in ("lead", "cycle"):
            assert shown[f'tcps_work_order_{family}_time_seconds_sum{{bucket="reliability"}}'] == 5 * 3600
        assert times(line) == (hours, hours)


def test_a_wide_row_keeps_what_trackers_noted(line: Line) -> None:
    record(line, entry("noted", 2))
    whole(line, started_at=START + HOUR)
    assert "noted there" in [moment["detail"] for moment in item(line)["history"]]

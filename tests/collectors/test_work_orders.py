"""What may be done with a work order and what is refused, in the contract's order of checks."""

from itertools import pairwise

import gevent
import pytest

from exporter.contract import Refusal
from tests.collectors.asking import ask, cord, facts, head, kinds, order, refusal, refused, resolve, started
from tests.line import HOUR, MINUTE, NOW, Line

# --- creating ----------------------------------------------------------------------------------------------------


def test_a_created_order_is_shown_whole(line: Line) -> None:
    other = order(line)
    created = line.call(
        "work_orders.create", description="Rotate the key", priority="high", bucket="security", sku_id="auth@1",
        dependencies=[other, other], external_id="SEC-1", labels=["ops"], metadata={"team": 7},
        occurred_at="2026-11-24T06:30:00+01:00",
    )  # fmt: skip
    assert created.pop("history")[0] == {
        "status": "queued", "stage": None, "timestamp": NOW - HOUR // 2, "by": "tester", "detail": "",
    }  # fmt: skip
    assert created == {
        "id": "WO-2", "description": "Rotate the key", "bucket": "security", "priority": 7, "priority_name": "high",
        "status": "blocked", "sku_id": "auth@1", "external_id": "SEC-1", "labels": ["ops"], "metadata": {"team": 7},
        "current_stage": None, "dependencies": ["WO-1"], "sla_deadline_at": NOW - HOUR // 2 + 24 * HOUR,
        "sla_status": "on_time", "created_at": NOW - HOUR // 2, "started_at": None, "completed_at": None,
        "cancelled_at": None,
    }  # fmt: skip


def test_what_is_not_said_of_an_order_has_a_default(line: Line) -> None:
    created = line.call("work_orders.create", description="Mend it")
    shown = {name: created[name] for name in ("bucket", "priority", "status", "created_at", "labels")}
    assert shown == {"bucket": "reliability", "priority": 5, "status": "queued", "created_at": NOW, "labels": []}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "422 invalid", "description"),
        ({"description": ""}, "422 invalid", "description"),
        ({"description": "x" * 2001}, "422 invalid", "description"),
        ({"description": "x", "bucket": "sales"}, "422 invalid", "bucket"),
        ({"description": "x", "bucket": ""}, "422 invalid", "bucket"),
        ({"description": "x", "priority": "urgent"}, "422 invalid", "priority"),
        ({"description": "x", "priority": 11}, "422 invalid", "priority"),
        ({"description": "x", "priority": 0}, "422 invalid", "priority"),
        ({"description": "x", "dependencies": ["WO-99"]}, "422 invalid", "dependencies"),
        ({"description": "x", "dependencies": ["no id"]}, "422 invalid", "dependencies"),
        ({"description": "x", "external_id": "SEC-1"}, "409 duplicate_external_id", "external_id"),
        ({"description": "x", "occurred_at": "2026-11-24 06:00"}, "422 invalid", "occurred_at"),
        ({"description": "x", "occurred_at": -1}, "422 invalid", "occurred_at"),
        ({"description": "x", "colour": "red"}, "422 invalid", "colour"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_its_field(line: Line, body, code: str, field: str) -> None:
    order(line, external_id="SEC-1")
    before = head(line)
    found = refusal(line, "work_orders.create", **body)
    assert (f"{found.status} {found.code}", found.field) == (code, field)
    assert head(line) == before


def test_each_step_writes_one_fact_with_what_stood_before(line: Line) -> None:
    before = head(line)
    one = started(line)
    line.call("work_orders.progress", id=one, stage="testing")
    line.call("work_orders.complete", id=one)
    line.call("work_orders.reopen", id=one)
    line.call("work_orders.cancel", id=one, reason="no longer needed")
    written = facts(line, before)
    steps = ["created", "started", "progressed", "completed", "reopened", "cancelled"]
    assert [fact.kind for fact in written] == [f"work_orders.{step}" for step in steps]
    assert written[0].data.before is None
    for earlier, later in pairwise(written):
        assert later.data.before == earlier.data.now
    assert [fact.data.detail for fact in written if fact.data.detail] == ["test_execution", "no longer needed"]
    assert {fact.by for fact in written} == {"tester"}


# --- states ------------------------------------------------------------------------------------------------------

ALLOWED = {
    "queued": {"start", "cancel", "depend", "change"},
    "blocked": {"cancel", "depend", "change"},
    "in_progress": {"progress", "complete", "cancel", "change"},
    "completed": {"reopen", "change"},
    "cancelled": {"change"},
}
BODIES = {
    "start": {}, "progress": {"stage": "compilation"}, "complete": {}, "reopen": {}, "cancel": {"reason": "why not"},
    "depend": {"depends_on": "WO-1"}, "change": {"priority": "low"},
}  # fmt: skip


def in_state(line: Line, status: str) -> str:
    other = order(line, bucket="compliance")
    one = order(line, dependencies=[other] if status == "blocked" else [])
    for step in {"in_progress": ["start"], "completed": ["start", "complete"], "cancelled": ["cancel"]}.get(status, []):
        line.call(f"work_orders.{step}", id=one, **BODIES[step])
    return one


@pytest.mark.parametrize("command", BODIES)
@pytest.mark.parametrize("status", ALLOWED)
def test_each_status_allows_its_own_steps(line: Line, status: str, command: str) -> None:
    one = in_state(line, status)
    before = head(line)
    if command in ALLOWED[status]:
        line.call(f"work_orders.{command}", id=one, **BODIES[command])
    else:
        found = refusal(line, f"work_orders.{command}", id=one, **BODIES[command])
        expected = "blocked_by_dependencies" if (status, command) == ("blocked", "start") else "invalid_state"
        assert (found.status, found.code) == (409, expected)
        assert head(line) == before
        assert ask(line, "work_orders.one", id=one)["status"] == status


@pytest.mark.parametrize("command", BODIES)
def test_what_is_no_order_is_not_found(line: Line, command: str) -> None:
    order(line)
    for name in ("WO-99", "wo-1", "WO-", "WO-1x", "WO-\u0661", "AND-1", "1", "", "WO-" + "9" * 30):
        assert refused(line, f"work_orders.{command}", id=name, **BODIES[command]) == "404 not_found"


def test_start_is_refused_for_the_first_reason_in_order(line: Line) -> None:
    """Status, dependencies, andon of its SKU, WIP limit."""
    needed = started(line, bucket="cost")
    line.call("work_orders.complete", id=needed)
    one = started(line, bucket="security", sku_id="auth@1", dependencies=[needed])
    two = order(line, bucket="security", sku_id="auth@1", dependencies=[needed])
    line.now += MINUTE
    line.call("work_orders.reopen", id=needed)
    line.call("kanban.set_limit", bucket="security", limit=1)
    andon = cord(line, "auth@1")
    assert refused(line, "work_orders.start", id=one) == "409 invalid_state"
    found = refusal(line, "work_orders.start", id=two)
    assert (found.status, found.code, found.details) == (409, "blocked_by_dependencies", {"dependencies": [needed]})
    line.call("work_orders.complete", id=needed)
    found = refusal(line, "work_orders.start", id=two)
    assert (found.status, found.code, found.details["andons"]) == (423, "line_stopped", [andon])
    line.call("andon.acknowledge", id=andon)
    assert refused(line, "work_orders.start", id=two) == "423 line_stopped"
    resolve(line, andon)
    found = refusal(line, "work_orders.start", id=two)
    assert (found.status, found.code, found.field) == (409, "wip_limit_reached", "bucket")
    assert found.details == {"bucket": "security", "current": 1, "limit": 1}
    line.call("work_orders.complete", id=one)
    assert line.call("work_orders.start", id=two)["status"] == "in_progress"


def test_of_racing_starts_only_so_many_win_as_there_are_slots(line: Line) -> None:
    line.call("kanban.set_limit", bucket="reliability", limit=2)
    waiting = [order(line) for _ in range(6)]

    def start(one: str) -> str:
        try:
            return str(line.call("work_orders.start", id=one)["status"])
        except Refusal as found:
            return found.code

    racing = [gevent.spawn(start, one) for one in waiting]
    gevent.joinall(racing)
    assert sorted(race.get() for race in racing) == ["in_progress"] * 2 + ["wip_limit_reached"] * 4
    assert line.document("kanban")["reliability"]["current"] == 2
    assert line.metrics()['tcps_kanban_refusals_total{bucket="reliability"}'] == 4


def test_racing_starts_of_one_order_start_it_once(line: Line) -> None:
    one = order(line)
    racing = [gevent.spawn(line.call, "work_orders.start", id=one) for _ in range(2)]
    gevent.joinall(racing)
    codes = [getattr(race.exception, "code", "started") for race in racing]
    assert sorted(codes) == ["invalid_state", "started"]


def test_complete_is_refused_while_its_sku_is_stopped(line: Line) -> None:
    one, two = started(line, sku_id="auth@1"), started(line, sku_id="other@2")
    andon = cord(line, "auth@1", stage="compilation")
    assert refused(line, "work_orders.complete", id=one) == "423 line_stopped"
    line.call("andon.acknowledge", id=andon)
    assert refused(line, "work_orders.complete", id=one) == "423 line_stopped"
    assert line.call("work_orders.complete", id=two)["status"] == "completed"
    resolve(line, andon)
    assert line.call("work_orders.complete", id=one)["status"] == "completed"


def test_reopening_takes_no_slot_away_from_the_limit_and_may_pass_it(line: Line) -> None:
    one = started(line, bucket="security")
    line.call("work_orders.complete", id=one)
    line.call("kanban.set_limit", bucket="security", limit=1)
    started(line, bucket="security")
    line.call("work_orders.reopen", id=one)
    assert line.document("kanban")["security"] == {"current": 2, "limit": 1, "available": 0, "utilization": 2.0}


# --- event time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["create", "start", "progress", "complete", "reopen", "cancel", "pull"])
def test_what_lies_more_than_five_minutes_ahead_has_not_happened(line: Line, command: str) -> None:
    status = {"progress": "in_progress", "complete": "in_progress", "reopen": "completed"}.get(command, "queued")
    one = in_state(line, status)
    line.now += HOUR
    body = {"create": {"description": "x"}, "pull": {"bucket": "reliability"}}.get(command, {"id": one})
    body |= BODIES.get(command, {})
    found = refusal(line, f"work_orders.{command}", **body, occurred_at=line.now + 5 * MINUTE + 1)
    assert (found.status, found.field) == (422, "occurred_at")
    told = line.call(f"work_orders.{command}", **body, occurred_at=line.now + 5 * MINUTE)
    assert told["history"][-1]["timestamp"] == line.now + 5 * MINUTE


@pytest.mark.parametrize("command", ["start", "cancel"])
def test_a_step_before_the_last_one_is_refused(line: Line, command: str) -> None:
    one = order(line)
    found = refusal(line, f"work_orders.{command}", id=one, **BODIES[command], occurred_at=NOW - 1)
    assert (found.status, found.field) == (422, "occurred_at")
    line.call(f"work_orders.{command}", id=one, **BODIES[command], occurred_at=NOW)


def test_lead_and_cycle_time_come_from_event_times(line: Line) -> None:
    one = order(line, occurred_at=NOW - 30 * HOUR)
    line.call("work_orders.start", id=one, occurred_at=NOW - 10 * HOUR)
    line.call("work_orders.complete", id=one, occurred_at=NOW - 4 * HOUR)
    flow = line.document("flow")
    assert (flow["lead_time_hours"]["mean"], flow["cycle_time_hours"]["mean"]) == (26.0, 6.0)


def test_the_same_step_twice_at_one_moment_is_refused(line: Line) -> None:
    one = started(line)
    line.now += MINUTE
    body = {"id": one, "stage": "compilation", "occurred_at": line.now}
    line.call("work_orders.progress", **body)
    assert refused(line, "work_orders.progress", **body) == "422 invalid"


def test_the_same_step_at_one_moment_by_two_is_refused_too(line: Line) -> None:
    one = started(line)
    line.now += MINUTE
    body = {"id": one, "stage": "compilation", "occurred_at": line.now}
    line.service.call("work_orders.progress", body, by="ana")
    with pytest.raises(Refusal) as raised:
        line.service.call("work_orders.progress", body, by="bo")
    assert raised.value.status == 422


# --- changing ----------------------------------------------------------------------------------------------------


def test_priority_and_description_can_be_changed(line: Line) -> None:
    one = order(line)
    changed = line.call("work_orders.change", id=one, priority="critical", description="Mend it now")
    assert (changed["priority"], changed["description"]) == (9, "Mend it now")
    assert kinds(line)[-1] == "work_orders.changed"
    before = head(line)
    line.call("work_orders.change", id=one, description="Mend it soon")
    assert head(line) == before, "a description is in no number, so no fact tells of it"


@pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"description": ""}, {"bucket": "cost"}])
def test_a_change_that_makes_no_sense_is_refused(line: Line, body) -> None:
    one = order(line)
    assert refused(line, "work_orders.change", id=one, **body) == "422 invalid"


@pytest.mark.parametrize("stage", ["", "packing", "Compilation", "quality"])
def test_an_unknown_stage_is_refused(line: Line, stage: str) -> None:
    one = started(line)
    found = refusal(line, "work_orders.progress", id=one, stage=stage)
    assert (found.status, found.field) == (422, "stage")


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("validation", "shacl_validation"), ("testing", "test_execution"), ("execution", "smoke_test"),
        ("integration", "release_verification"), ("deployment", "release_verification"), ("compilation", "compilation"),
    ],
)  # fmt: skip
def test_the_canonical_name_of_a_stage_is_stored(line: Line, said: str, stored: str) -> None:
    one = started(line)
    assert line.call("work_orders.progress", id=one, stage=said)["current_stage"] == stored
    assert line.document("flow")["active_work_orders"][0]["current_stage"] == stored


@pytest.mark.parametrize("reason", ["", None])
def test_cancelling_needs_a_reason(line: Line, reason) -> None:
    one = order(line)
    found = refusal(line, "work_orders.cancel", id=one, reason=reason)
    assert (found.status, found.field) == (422, "reason")

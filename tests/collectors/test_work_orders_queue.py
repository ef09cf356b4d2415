"""The queue: dependencies that block, the levelled order, and what a pull takes of it."""

import pytest

from exporter.contract import DAY
from tests.collectors.asking import ask, cord, facts, order, refusal, refused, resolve, started
from tests.line import HOUR, MINUTE, NOW, Line


def status(line: Line, one: str) -> str:
    return str(ask(line, "work_orders.one", id=one)["status"])


def finish(line: Line, one: str) -> None:
    line.call("work_orders.start", id=one)
    line.call("work_orders.complete", id=one)


def upcoming(line: Line) -> list[str]:
    return [one["id"] for one in ask(line, "work_orders.upcoming")["work_orders"]]


# --- dependencies ------------------------------------------------------------------------------------------------


def test_an_order_is_blocked_until_all_it_waits_for_has_ended(line: Line) -> None:
    one, two = order(line), order(line)
    three = order(line, dependencies=[one, two])
    assert status(line, three) == "blocked"
    finish(line, one)
    assert status(line, three) == "blocked"
    line.call("work_orders.cancel", id=two, reason="no longer needed")
    assert status(line, three) == "queued"
    line.call("work_orders.reopen", id=one)
    assert status(line, three) == "blocked"
    assert refused(line, "work_orders.start", id=three) == "409 blocked_by_dependencies"


def test_what_waits_for_ended_orders_only_is_queued(line: Line) -> None:
    one = order(line)
    finish(line, one)
    assert status(line, order(line, dependencies=[one])) == "queued"


def test_dependencies_can_be_added_and_taken_away(line: Line) -> None:
    one, two, three = order(line), order(line), order(line)
    told = line.call("work_orders.depend", id=three, depends_on=[one, two, one])
    assert (told["status"], told["dependencies"]) == ("blocked", [one, two])
    assert line.call("work_orders.depend", id=three, depends_on=one)["dependencies"] == [one, two]
    assert line.call("work_orders.release", id=three, depends_on=one)["status"] == "blocked"
    told = line.call("work_orders.release", id=three, depends_on=two)
    assert (told["status"], told["dependencies"]) == ("queued", [])
    assert refused(line, "work_orders.release", id=three, depends_on=two) == "404 not_found"


@pytest.mark.parametrize("name", ["WO-99", "nobody", ""])
def test_nothing_can_wait_for_what_is_no_order(line: Line, name: str) -> None:
    one = order(line)
    found = refusal(line, "work_orders.depend", id=one, depends_on=name)
    assert (found.status, found.field) == (422, "depends_on")


def test_a_circle_of_orders_that_wait_for_each_other_is_refused(line: Line) -> None:
    one = order(line)
    two = order(line, dependencies=[one])
    three = order(line, dependencies=[two])
    for start, goal in ((one, one), (one, two), (one, three), (two, three)):
        assert refused(line, "work_orders.depend", id=start, depends_on=goal) == "409 dependency_cycle"
        assert ask(line, "work_orders.one", id=start)["dependencies"] == ([] if start == one else [one])
    assert refused(line, "work_orders.depend", id=two, depends_on=[order(line), three]) == "409 dependency_cycle"
    assert ask(line, "work_orders.one", id=two)["dependencies"] == [one], "all of them or none"


def test_two_ways_to_one_order_are_no_circle(line: Line) -> None:
    top = order(line)
    left, right = order(line, dependencies=[top]), order(line, dependencies=[top])
    assert status(line, order(line, dependencies=[left, right, top])) == "blocked"


def test_blocking_and_freeing_are_facts_of_the_order_that_waits(line: Line) -> None:
    one = order(line)
    two = order(line, dependencies=[one])
    finish(line, one)
    told = [(fact.kind, fact.data.now.status) for fact in facts(line) if getattr(fact.data, "work_order_id", "") == two]
    assert told == [
        ("work_orders.created", "queued"), ("work_orders.blocked", "blocked"), ("work_orders.queued", "queued"),
    ]  # fmt: skip


def test_an_order_of_the_past_was_blocked_in_the_past(line: Line) -> None:
    """Contract, section 2: "event time drives every number"."""
    one = order(line, occurred_at=NOW - 2 * DAY)
    told = line.call("work_orders.create", description="x", dependencies=[one], occurred_at=NOW - DAY)
    assert [(moment["status"], moment["timestamp"]) for moment in told["history"]] == [
        ("queued", NOW - DAY), ("blocked", NOW - DAY + 1),
    ]  # fmt: skip


def test_what_waited_in_the_past_can_start_in_the_past(line: Line) -> None:
    one = order(line, occurred_at=NOW - 5 * DAY)
    two = order(line, occurred_at=NOW - 4 * DAY, dependencies=[one])
    line.call("work_orders.start", id=one, occurred_at=NOW - 3 * DAY)
    line.call("work_orders.complete", id=one, occurred_at=NOW - 2 * DAY)
    assert line.call("work_orders.start", id=two, occurred_at=NOW - DAY)["started_at"] == NOW - DAY


def test_a_pull_skips_what_did_not_exist_at_its_time(line: Line) -> None:
    """Contract, section 2: "starts the head of that order, skipping what may not start"."""
    order(line, priority="critical")
    old = order(line, occurred_at=NOW - DAY)
    assert line.call("work_orders.pull", occurred_at=NOW - HOUR)["id"] == old


def test_what_ends_elsewhere_frees_what_waits_for_it(line: Line) -> None:
    one = order(line, external_id="A")
    two = order(line, dependencies=[one])
    entry = {"item": "A", "at": NOW, "what": "completed", "activity": "Closed"}
    line.call("work_orders.record", entries=[entry])
    assert status(line, one) == "completed"
    assert status(line, two) == "queued"


def test_what_is_taken_up_again_elsewhere_blocks_what_waits_for_it(line: Line) -> None:
    """Contract, section 3: start checks "dependencies (409 blocked_by_dependencies)"."""
    one = order(line, external_id="A")
    finish(line, one)
    two = order(line, dependencies=[one])
    line.now += HOUR
    entry = {"item": "A", "at": line.now, "what": "started", "activity": "Taken up again"}
    line.call("work_orders.record", entries=[entry])
    assert refused(line, "work_orders.start", id=two) == "409 blocked_by_dependencies"


TOLD_ELSEWHERE = {
    "a tracker's event": {"entries": [{"item": "B", "at": NOW + HOUR, "what": "queued", "activity": "To do"}]},
    "a table's row": {"wholes": [{"item": "B", "created_at": NOW - HOUR, "status": "queued"}]},
}


@pytest.mark.parametrize("body", TOLD_ELSEWHERE.values(), ids=TOLD_ELSEWHERE)
def test_what_is_said_to_be_queued_elsewhere_still_waits_for_others(line: Line, body) -> None:
    """Contract, section 3: start checks "dependencies (409 blocked_by_dependencies)"."""
    one = order(line)
    two = order(line, external_id="B", dependencies=[one])
    line.now += 2 * HOUR
    line.call("work_orders.record", **body)
    assert refused(line, "work_orders.start", id=two) == "409 blocked_by_dependencies"


def test_what_is_taken_up_again_elsewhere_blocks_from_then_on(line: Line) -> None:
    """Contract, section 2: "event time drives every number"."""
    one = order(line, external_id="A")
    finish(line, one)
    two = order(line, dependencies=[one])
    line.now += 3 * HOUR
    entry = {"item": "A", "at": NOW + 2 * HOUR, "what": "started", "activity": "Taken up again"}
    line.call("work_orders.record", entries=[entry])
    moment = ask(line, "work_orders.one", id=two)["history"][-1]
    assert (moment["status"], moment["timestamp"] - NOW - 2 * HOUR) in (("blocked", 0), ("blocked", 1))


# --- the levelled order ------------------------------------------------------------------------------------------


def test_the_levelled_order_goes_by_priority_and_age_inside_a_bucket_and_buckets_in_turn(line: Line) -> None:
    low = order(line, priority="low")
    newer = order(line, priority="high", occurred_at=NOW - HOUR)
    older = order(line, priority="high", occurred_at=NOW - 2 * HOUR)
    cost = order(line, bucket="cost", priority=1)
    urgent, safe = order(line, bucket="security", priority="critical"), order(line, bucket="security")
    order(line, bucket="cost", dependencies=[low])
    assert upcoming(line) == [older, urgent, cost, newer, safe, low]
    assert [one["id"] for one in ask(line, "work_orders.upcoming", limit=2)["work_orders"]] == [older, urgent]


def test_equal_orders_come_in_the_order_they_were_recorded(line: Line) -> None:
    several = [order(line) for _ in range(11)]
    assert upcoming(line) == several


def test_pulling_serves_the_buckets_in_turn(line: Line) -> None:
    for bucket in ("reliability", "reliability", "security", "cost", "cost", "compliance"):
        order(line, bucket=bucket)
    pulled = []
    for _ in range(6):
        line.now += MINUTE
        head = upcoming(line)[0]
        told = line.call("work_orders.pull")
        assert (told["id"], told["status"], told["started_at"]) == (head, "in_progress", line.now)
        pulled.append(told["bucket"])
    assert pulled == ["reliability", "security", "cost", "compliance", "reliability", "cost"]


def test_a_pull_skips_what_may_not_start(line: Line) -> None:
    order(line, priority="critical", sku_id="auth@1")
    blocked = order(line, bucket="cost")
    order(line, priority="high", dependencies=[blocked])
    free = order(line, priority="low")
    cord(line, "auth@1")
    assert line.call("work_orders.pull", bucket="reliability")["id"] == free
    assert refused(line, "work_orders.pull", bucket="reliability") == "409 nothing_to_pull"


def test_a_pull_skips_a_full_bucket_without_counting_a_refusal(line: Line) -> None:
    line.call("kanban.set_limit", bucket="reliability", limit=0)
    order(line)
    cost = order(line, bucket="cost")
    assert line.call("work_orders.pull")["id"] == cost
    assert line.metrics()['tcps_kanban_refusals_total{bucket="reliability"}'] == 0


def test_a_pull_is_refused_by_the_limit_where_only_that_stands_in_the_way(line: Line) -> None:
    line.call("kanban.set_limit", bucket="reliability", limit=0)
    order(line)
    order(line, bucket="cost", sku_id="auth@1")
    andon = cord(line, "auth@1")
    found = refusal(line, "work_orders.pull")
    assert (found.status, found.code, found.details["bucket"]) == (409, "wip_limit_reached", "reliability")
    assert line.metrics()['tcps_kanban_refusals_total{bucket="reliability"}'] == 1
    assert refused(line, "work_orders.pull", bucket="cost") == "409 nothing_to_pull"
    resolve(line, andon)
    assert line.call("work_orders.pull")["bucket"] == "cost"


def test_a_stopped_order_in_a_full_bucket_is_nothing_to_pull(line: Line) -> None:
    line.call("kanban.set_limit", bucket="security", limit=0)
    order(line, bucket="security", sku_id="auth@1")
    cord(line, "auth@1")
    assert refused(line, "work_orders.pull") == "409 nothing_to_pull"


def test_there_is_nothing_to_pull_from_an_empty_line(line: Line) -> None:
    assert refused(line, "work_orders.pull") == "409 nothing_to_pull"
    started(line)
    assert refused(line, "work_orders.pull", bucket="reliability") == "409 nothing_to_pull"
    assert refused(line, "work_orders.pull", bucket="sales") == "422 invalid"


def test_a_pull_looks_beyond_the_first_page_of_the_queue(line: Line) -> None:
    cord(line, "stopped@1")
    for _ in range(55):
        order(line, priority="high", sku_id="stopped@1")
    free = order(line, priority="low")
    assert line.call("work_orders.pull")["id"] == free

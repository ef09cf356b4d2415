"""WIP limits: kept by every start, changed at run time, taken from the configuration when that changes."""

import sqlite3
from contextlib import suppress

import pytest

from exporter.contract import Refusal, StartupError
from tests.collectors.asking import ask, configure, facts, head, order, refusal, refused, started
from tests.line import NOW, Line

USED = [(5, 0, 0.0, 5), (5, 4, 0.8, 1), (5, 5, 1.0, 0), (4, 5, 1.25, 0), (0, 0, 0.0, 0), (0, 1, 1.0, 0)]


def limit(line: Line, bucket: str, value: int | None) -> None:
    line.call("kanban.set_limit", bucket=bucket, limit=value)


def shown(line: Line, bucket: str = "security") -> int | None:
    value: int | None = line.document("kanban")[bucket]["limit"]
    return value


def test_an_empty_line_shows_its_buckets_and_limits(line: Line) -> None:
    document = line.document("kanban")
    empty = {"current": 0, "limit": 5, "available": 5, "utilization": 0.0}
    names = ("reliability", "security", "cost", "compliance")
    assert {name: document[name] for name in names} == dict.fromkeys(names, empty)
    assert set(document) == {*names, "total_wip", "timestamp", "age_seconds", "window_seconds", "stale"}
    metrics = line.metrics()
    for name in names:
        values = [metrics[f'tcps_kanban_{what}{{bucket="{name}"}}'] for what in ("wip", "wip_limit", "queued")]
        assert values == [0, 5, 0]
        assert metrics[f'tcps_kanban_refusals_total{{bucket="{name}"}}'] == 0


@pytest.mark.parametrize(("of", "work", "utilization", "available"), USED)
def test_a_bucket_tells_how_full_it_is(line: Line, of: int, work: int, utilization: float, available: int) -> None:
    for _ in range(work):
        started(line, bucket="security")
    limit(line, "security", of)
    expected = {"current": work, "limit": of, "available": available, "utilization": utilization}
    document = line.document("kanban")
    assert (document["security"], document["total_wip"]) == (expected, work)


def test_queued_are_those_that_may_be_pulled(line: Line) -> None:
    one = started(line, bucket="cost")
    two = order(line, bucket="cost", dependencies=[one])
    order(line, bucket="cost")
    assert line.metrics()['tcps_kanban_queued{bucket="cost"}'] == 1
    line.call("work_orders.complete", id=one)
    assert line.metrics()['tcps_kanban_queued{bucket="cost"}'] == 2
    line.call("work_orders.cancel", id=two, reason="no")
    assert line.metrics()['tcps_kanban_queued{bucket="cost"}'] == 1


@pytest.mark.parametrize("begun", [False, True])
def test_an_order_that_changes_its_bucket_is_counted_in_the_new_one(line: Line, begun: bool) -> None:
    row = {"item": "T-1", "created_at": NOW} | ({"started_at": NOW} if begun else {})
    for bucket in ("cost", "security"):
        line.call("work_orders.record", wholes=[row | {"bucket": bucket}])
    shown = line.metrics()
    family = "tcps_kanban_wip" if begun else "tcps_kanban_queued"
    assert [shown[f'{family}{{bucket="{bucket}"}}'] for bucket in ("cost", "security")] == [0, 1]


def test_the_limit_refuses_the_start_beyond_it_and_counts_that(line: Line) -> None:
    limit(line, "security", 2)
    for _ in range(2):
        started(line, bucket="security")
    one = order(line, bucket="security")
    found = refusal(line, "work_orders.start", id=one)
    assert (found.status, found.code) == (409, "wip_limit_reached")
    assert found.details == {"bucket": "security", "current": 2, "limit": 2}
    assert line.metrics()['tcps_kanban_refusals_total{bucket="security"}'] == 1
    assert line.metrics()['tcps_kanban_refusals_total{bucket="cost"}'] == 0
    line.restart()
    assert line.metrics()['tcps_kanban_refusals_total{bucket="security"}'] == 0, "it counts from the process's start"


def test_an_unlimited_bucket_takes_any_work(line: Line) -> None:
    limit(line, "cost", None)
    for _ in range(7):
        started(line, bucket="cost")
    document = line.document("kanban")
    assert document["cost"] == {"current": 7, "limit": None, "available": None, "utilization": 0.0}
    assert 'tcps_kanban_wip_limit{bucket="cost"}' not in line.metrics()
    assert line.document("flow")["bottlenecks"] == []


def test_a_limit_of_nothing_lets_nothing_start(line: Line) -> None:
    limit(line, "cost", 0)
    assert refused(line, "work_orders.start", id=order(line, bucket="cost")) == "409 wip_limit_reached"


@pytest.mark.parametrize("value", [-1, 1.5, "5", 1_000_001, True])
def test_what_is_no_limit_is_refused(line: Line, value) -> None:
    found = refusal(line, "kanban.set_limit", bucket="cost", limit=value)
    assert (found.status, found.field) == (422, "limit")


@pytest.mark.parametrize("bucket", ["sales", "", "total_wip", "Cost"])
def test_a_limit_of_no_bucket_is_not_found(line: Line, bucket: str) -> None:
    found = refusal(line, "kanban.set_limit", bucket=bucket, limit=3)
    assert (found.status, found.field) == (404, "bucket")


def test_only_a_change_of_a_limit_is_a_fact(line: Line) -> None:
    before = head(line)
    for value in (5, 7, 7, None, None, 5):
        assert line.call("kanban.set_limit", bucket="cost", limit=value) == {"bucket": "cost", "limit": value}
    told = [(fact.data.before, fact.data.now) for fact in facts(line, before)]
    assert told == [(5, 7), (7, None), (None, 5)]


# --- the configuration -------------------------------------------------------------------------------------------


def test_a_limit_set_at_run_time_holds_until_the_configured_one_changes(line: Line) -> None:
    limit(line, "security", 9)
    for _ in range(2):
        line.restart()
        assert shown(line) == 9
    others = "[buckets.reliability]\n[buckets.cost]\n[buckets.compliance]\n[buckets.security]\n"
    configure(line, f"{others}limit = 5\n")
    line.restart()
    assert shown(line) == 9, "the same value, now written in a file, is no change"
    configure(line, f"{others}limit = 3\n")
    line.restart()
    assert shown(line) == 3
    limit(line, "security", None)
    line.restart()
    assert shown(line) is None
    configure(line, f'{others}limit = "unlimited"\n')
    line.restart()
    assert shown(line) is None
    limit(line, "security", 2)
    line.restart()
    assert shown(line) == 2


def test_a_restart_without_a_change_writes_no_fact(line: Line) -> None:
    limit(line, "security", 9)
    before = head(line)
    line.restart()
    assert head(line) == before


def test_a_bucket_with_open_orders_cannot_leave_the_configuration(line: Line) -> None:
    order(line, bucket="cost")
    waiting = started(line, bucket="security")
    order(line, bucket="cost", dependencies=[waiting])
    kept = line.settings
    before = head(line)
    line.close()
    configure(line, "[buckets.reliability]\n[buckets.compliance]\n")
    with pytest.raises(StartupError) as raised:
        line.open()
    line.close()
    told = str(raised.value)
    assert "buckets" in told
    assert "cost (2 open" in told
    assert "security (1 open" in told
    assert "\n" not in told
    line.settings = kept
    line.open()
    assert head(line) == before, "a start that was refused changed nothing"


def emptied(line: Line) -> None:
    """The bucket cost, used, measured and then taken out of the configuration."""
    one = started(line, bucket="cost")
    line.now += 1000
    line.call("work_orders.complete", id=one)
    line.call("work_orders.cancel", id=order(line, bucket="cost"), reason="no")
    line.metrics()
    configure(line, "[buckets.reliability]\n[buckets.security]\n[buckets.compliance]\n")


def test_an_empty_bucket_may_leave_the_configuration(line: Line) -> None:
    emptied(line)
    line.restart()
    assert "cost" not in line.document("kanban")
    assert not [name for name in line.metrics() if name.startswith("tcps_kanban") and "cost" in name]
    assert refused(line, "work_orders.create", description="x", bucket="cost") == "422 invalid"
    assert refused(line, "kanban.set_limit", bucket="cost", limit=1) == "404 not_found"


def test_no_command_keeps_the_line_from_starting_again(line: Line) -> None:
    """Its bucket was taken out while it was completed; reopened, it refuses every start from then on."""
    emptied(line)
    line.restart()
    with suppress(Refusal):
        line.call("work_orders.reopen", id="WO-1")
    line.close()
    try:
        line.open()
    except StartupError:
        line.close()
        configure(line, "")
        line.open()  # for the fixture, which closes it
        raise


def of_bucket(line: Line, bucket: str) -> list[str]:
    """The families that have a label set of it."""
    label = f'bucket="{bucket}"'
    return sorted({name.partition("{")[0] for name in line.metrics() if label in name})


@pytest.mark.parametrize("refold", [False, True])
def test_a_removed_bucket_leaves_every_metric(line: Line, refold: bool) -> None:
    """Contract, section 6: "A label set that ends (a bucket removed) leaves the next scrape"."""
    emptied(line)
    line.close()
    if refold:
        forget_checkpoints(line)
    line.open()
    assert of_bucket(line, "cost") == []


def test_a_new_bucket_starts_at_nothing_in_every_metric(line: Line) -> None:
    """Contract, section 6: "Counts, counters and histograms of severity, bucket, gate start at 0"."""
    families = of_bucket(line, "cost")
    names = ("reliability", "security", "cost", "compliance", "research")
    configure(line, "\n".join(f"[buckets.{name}]" for name in names))
    line.restart()
    assert of_bucket(line, "research") == families


def forget_checkpoints(line: Line) -> None:
    with sqlite3.connect(line.folder / "line.db") as database:
        database.execute("DELETE FROM checkpoint")
    database.close()


def test_the_board_as_a_resource_is_true_at_once_and_agrees_with_the_document(line: Line) -> None:
    line.document("kanban")
    started(line, bucket="cost")
    board = ask(line, "kanban.board")
    assert (board["cost"]["current"], board["cost"]["available"], board["total_wip"]) == (1, 4, 1)
    document = line.document("kanban")
    assert {name: document[name] for name in board} == board

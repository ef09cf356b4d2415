"""The rules of a work order as tables: its life by its events, its SLA at the exact edges, its place in the order."""

from collections.abc import Sequence
from itertools import permutations
from types import SimpleNamespace

import pytest

from collectors.work_orders import rules
from collectors.work_orders.rules import Event
from exporter.contract import Invalid
from tests.line import HOUR

DAY = 24 * HOUR

# what happened at which moment; then status, first start, last completion, cancelled at, times reopened
LIVES = {
    "demanded": ("created@1", "queued", None, None, None, 0),
    "waiting for another": ("created@1 blocked@2", "blocked", None, None, None, 0),
    "free again": ("created@1 blocked@2 queued@3", "queued", None, None, None, 0),
    "in work": ("created@1 started@2", "in_progress", 2, None, None, 0),
    "done": ("created@1 started@2 completed@5", "completed", 2, 5, None, 0),
    "done without a start": ("created@1 completed@5", "completed", None, 5, None, 0),
    "reopened": ("created@1 started@2 completed@5 reopened@6", "in_progress", 2, 5, None, 1),
    "done again": ("created@1 started@2 completed@5 reopened@6 completed@9", "completed", 2, 9, None, 1),
    "closed twice": ("created@1 started@2 completed@5 completed@9", "completed", 2, 9, None, 1),
    "worked on after the close": ("created@1 completed@5 started@7", "in_progress", 7, 5, None, 1),
    "worked on twice after it": ("created@1 started@2 completed@5 started@7 started@8", "in_progress", 2, 5, None, 1),
    "reopened twice": ("created@1 completed@2 reopened@3 completed@4 reopened@5", "in_progress", None, 4, None, 2),
    "cancelled": ("created@1 cancelled@3", "cancelled", None, None, 3, 0),
    "cancelled in work": ("created@1 started@2 cancelled@3", "cancelled", 2, None, 3, 0),
    "taken up after it was cancelled": ("created@1 cancelled@3 started@4", "in_progress", 4, None, None, 0),
    "a note changes nothing": ("created@1 started@2 completed@5 noted@9", "completed", 2, 5, None, 0),
    "the first start counts": ("created@1 started@2 started@3 completed@5", "completed", 2, 5, None, 0),
    "in work it cannot wait": ("created@1 started@2 blocked@3 queued@4", "in_progress", 2, None, None, 0),
}
ANY = SimpleNamespace(bucket="security", priority=5, sku_id=None)


def events(told: str) -> list[Event]:
    """Of "created@1 started@2"."""
    return [Event(int(at), what) for what, at in (word.split("@") for word in told.split())]


def stands(told: Sequence[Event]) -> tuple[object, ...]:
    found = rules.standing(rules.ordered(told), ANY, None)
    return found.status, found.started_at, found.completed_at, found.cancelled_at, found.reopened


@pytest.mark.parametrize(("told", "status", "start", "end", "cancelled", "reopened"), LIVES.values(), ids=LIVES)
def test_an_order_stands_where_its_events_leave_it(told, status, start, end, cancelled, reopened) -> None:
    assert stands(events(told)) == (status, start, end, cancelled, reopened)


@pytest.mark.parametrize("told", [life[0] for life in LIVES.values()], ids=LIVES)
def test_the_order_of_recording_changes_nothing(told) -> None:
    assert {stands(shuffled) for shuffled in permutations(events(told))} == {stands(events(told))}


def test_a_stage_reached_after_the_completion_is_work() -> None:
    """Contract, section 3: completed -> in_progress by "work [...] after a completion"."""
    assert stands(events("created@1 started@2 completed@5 progressed@7"))[0] == "in_progress"


def test_events_of_one_moment_happen_in_the_order_of_a_life() -> None:
    life = events("created@4 started@4 progressed@4 completed@4 reopened@4")
    assert {stands(shuffled) for shuffled in permutations(life)} == {("in_progress", 4, 4, None, 1)}


def test_an_order_is_created_by_its_first_event_whatever_it_is() -> None:
    found = rules.standing(rules.ordered([Event(9, "created"), Event(4, "noted", "mail")]), ANY, 24.0)
    assert (found.created_at, found.sla_deadline_at) == (4, 4 + DAY)


def test_the_stage_is_the_last_one_reached() -> None:
    told = [Event(1, "created"), Event(7, "progressed", "smoke_test"), Event(5, "progressed", "compilation")]
    assert rules.standing(rules.ordered(told), ANY, None).current_stage == "smoke_test"


def test_history_tells_the_status_after_each_event() -> None:
    told = rules.ordered([
        Event(1, "created", by="ana"), Event(2, "started", by="bo"), Event(3, "progressed", "compilation", "bo"),
        Event(4, "cancelled", "not needed", "ana"),
    ])  # fmt: skip
    assert list(rules.history(told)) == [
        ("queued", None, 1, "ana", ""), ("in_progress", None, 2, "bo", ""),
        ("in_progress", "compilation", 3, "bo", "compilation"), ("cancelled", "compilation", 4, "ana", "not needed"),
    ]  # fmt: skip


# --- SLA ---------------------------------------------------------------------------------------------------------


def due(deadline: int | None = DAY, status: str = "queued", completed: int | None = None, cancelled: int | None = None):
    return SimpleNamespace(
        sla_deadline_at=deadline, created_at=0, status=status, completed_at=completed, cancelled_at=cancelled
    )


SLA = [
    (due(None), 99 * DAY, None),
    (due(), 0, "on_time"),
    (due(), 18 * HOUR, "on_time"),  # exactly 25 % left is not under 25 %
    (due(), 18 * HOUR + 1, "warning"),
    (due(), DAY, "warning"),  # due now is not late
    (due(), DAY + 1, "breached"),
    (due(status="blocked"), 18 * HOUR + 1, "warning"),
    (due(status="in_progress"), DAY + 1, "breached"),
    (due(status="completed", completed=DAY), 9 * DAY, "on_time"),
    (due(status="completed", completed=20 * HOUR), 20 * HOUR, "on_time"),
    (due(status="completed", completed=DAY + 1), 9 * DAY, "breached"),
    (due(status="cancelled", cancelled=HOUR), 9 * DAY, "on_time"),
    (due(status="in_progress", completed=HOUR), DAY + 1, "breached"),  # reopened: it runs on
]


@pytest.mark.parametrize(("order", "now", "expected"), SLA)
def test_sla_status_at_its_edges(order, now, expected) -> None:
    assert rules.sla_status(order, now) == expected


@pytest.mark.parametrize("whole", [4, 8, 400, DAY])
def test_a_warning_begins_with_the_first_millisecond_under_a_quarter(whole: int) -> None:
    begins = rules.warning_at(1000, 1000 + whole)
    left = 1000 + whole - begins
    assert left * 4 < whole <= (left + 1) * 4


@pytest.mark.parametrize("whole", [5, 9, 10, 11, DAY + 1])
def test_a_warning_of_a_time_that_four_does_not_divide_begins_as_exactly(whole: int) -> None:
    begins = rules.warning_at(1000, 1000 + whole)
    left = 1000 + whole - begins
    assert left * 4 < whole <= (left + 1) * 4


# --- priorities and the levelled order ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"), [(None, 5), ("low", 3), ("medium", 5), ("high", 7), ("critical", 9), (1, 1), (10, 10)]
)
def test_a_priority_has_a_number(given, expected: int) -> None:
    assert rules.priority(given) == expected


@pytest.mark.parametrize("given", [0, 11, -3, "urgent", "", "High", "5"])
def test_another_priority_is_refused_by_name(given) -> None:
    with pytest.raises(Invalid) as raised:
        rules.priority(given)
    assert (raised.value.field, raised.value.status) == ("priority", 422)


def test_every_number_has_a_name() -> None:
    names = [rules.priority_name(number) for number in range(1, 11)]
    assert names == [*["low"] * 4, *["medium"] * 2, *["high"] * 2, *["critical"] * 2]
    assert all(rules.priority_name(number) == name for name, number in rules.PRIORITIES.items())


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ([], ""), (["", ""], ""), (["abc"], "abc"), (["ace", "bd"], "abcde"), (["a", "bde", "c"], "abcde"),
        (["", "ac", "bd"], "abcd"),
    ],
)  # fmt: skip
def test_levelling_takes_one_of_each_queue_in_turn(queues: list[str], expected: str) -> None:
    assert "".join(rules.levelled(queues)) == expected


@pytest.mark.parametrize(
    ("last", "expected"), [(None, "abc"), ("a", "bca"), ("b", "cab"), ("c", "abc"), ("gone", "abc")]
)
def test_the_turn_goes_to_the_bucket_after_the_last_one_served(last: str | None, expected: str) -> None:
    assert "".join(rules.turns(list("abc"), last)) == expected


GRAPH = {1: [2, 3], 2: [4], 3: [4], 4: [], 5: [6], 6: [5]}


@pytest.mark.parametrize(
    ("start", "goal", "expected"), [(1, 4, True), (4, 1, False), (2, 3, False), (5, 5, True), (5, 1, False)]
)
def test_a_walk_reaches_what_it_leads_to_and_ends_in_a_circle(start: int, goal: int, expected: bool) -> None:
    assert rules.reaches(start, goal, GRAPH.__getitem__) is expected

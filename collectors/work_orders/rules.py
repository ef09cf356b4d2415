"""The rules of a work order, pure: from its events to where it stands."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar

from collectors.work_orders.facts import Standing
from exporter.contract import HOUR, Invalid

T = TypeVar("T")
OPEN = ("queued", "blocked", "in_progress")
STATUS = {
    "created": "queued", "noted": "queued", "queued": "queued", "blocked": "blocked", "started": "in_progress",
    "progressed": "in_progress", "completed": "completed", "reopened": "in_progress", "cancelled": "cancelled",
}  # fmt: skip
_RANK = {what: rank for rank, what in enumerate(STATUS)}
PRIORITIES = {"low": 3, "medium": 5, "high": 7, "critical": 9}


class Event(NamedTuple):
    """What happened to an order, when (ms), and the stage, reason or activity with it."""

    at: int
    what: str
    detail: str = ""
    by: str = ""


def ordered(events: Iterable[Event]) -> list[Event]:
    """By time; of the same moment in the order of an order's life, so that the order of recording changes nothing."""
    return sorted(events, key=lambda event: (event.at, _RANK[event.what], event.detail))


class Life:
    """Follows an order's events in the order of time. Leaving `completed` counts once as reopened."""

    __slots__ = ("cancelled_at", "completed_at", "reopened", "stage", "started_at", "status")

    def __init__(self) -> None:
        self.status = "queued"
        self.stage: str | None = None
        self.started_at: int | None = None
        self.completed_at: int | None = None
        self.cancelled_at: int | None = None
        self.reopened = 0

    def follow(self, event: Event) -> None:
        at, what = event.at, event.what
        if what == "started" or what == "reopened":
            self._work(at, starts=what == "started")
        elif what == "completed":
            if self.status == "completed":
                self.reopened += 1
            self.status, self.completed_at, self.cancelled_at = "completed", at, None
        elif what == "progressed":
            self.stage = event.detail
            if self.status == "completed":
                self._work(at, starts=False)
        elif what == "cancelled":
            self.status, self.cancelled_at = "cancelled", at
        elif what in ("queued", "blocked") and self.status in ("queued", "blocked"):
            self.status = what

    def _work(self, at: int, starts: bool) -> None:
        if self.status == "completed":
            self.reopened += 1
        self.status, self.cancelled_at = "in_progress", None
        if starts and self.started_at is None:
            self.started_at = at


def standing(events: Sequence[Event], order: Any, sla_hours: float | None) -> Standing:
    """Where the order stands after all its events, given in the order of time.

    `order` has bucket, priority and sku_id. Created is when its first event happened; the SLA runs from there.
    """
    life = Life()
    for event in events:
        life.follow(event)
    created = events[0].at
    return Standing(
        bucket=order.bucket, priority=order.priority, status=life.status, created_at=created, sku_id=order.sku_id,
        current_stage=life.stage, started_at=life.started_at, completed_at=life.completed_at,
        cancelled_at=life.cancelled_at, reopened=life.reopened,
        sla_deadline_at=None if sla_hours is None else created + round(sla_hours * HOUR),
    )  # fmt: skip


def history(events: Sequence[Event]) -> Iterator[tuple[str, str | None, int, str, str]]:
    """(status, stage, timestamp, by, detail) after each event."""
    life = Life()
    for event in events:
        life.follow(event)
        yield life.status, life.stage, event.at, event.by, event.detail


def sla_status(order: Any, now: int) -> str | None:
    """on_time, warning (under a quarter of the time left) or breached; late completions stay so. None: no SLA."""
    deadline = order.sla_deadline_at
    if deadline is None:
        return None
    ended = {"completed": order.completed_at, "cancelled": order.cancelled_at}.get(order.status)
    if (ended or now) > deadline:
        return "breached"
    if ended is None and now >= warning_at(order.created_at, deadline):
        return "warning"
    return "on_time"


def warning_at(created_at: int, deadline: int) -> int:
    """The moment from which less than 25 % of the time to the deadline is left."""
    return deadline - -(-(deadline - created_at) // 4) + 1


def priority(value: int | str | None) -> int:
    """1 to 10, 10 the highest. Raises: Invalid."""
    if value is None:
        return 5
    number = PRIORITIES.get(value) if isinstance(value, str) else value
    if number is None or not 1 <= number <= 10:
        known = ", ".join(PRIORITIES)
        raise Invalid(
            f"priority: expected one of {known} or a whole number from 1 to 10, got {value!r}", field="priority"
        )
    return number


def priority_name(number: int) -> str:
    """low 1 to 4, medium 5 and 6, high 7 and 8, critical 9 and 10."""
    return "critical" if number >= 9 else "high" if number >= 7 else "medium" if number >= 5 else "low"


def levelled(queues: Sequence[Iterable[T]]) -> Iterator[T]:
    """Heijunka: one of each bucket in turn, each bucket in its own order."""
    missing = object()
    for turn in zip_longest(*queues, fillvalue=missing):
        yield from (one for one in turn if one is not missing)  # type: ignore[misc]


def turns(buckets: Sequence[str], last: str | None) -> list[str]:
    """The buckets in turn, beginning after the one that was served last."""
    start = buckets.index(last) + 1 if last in buckets else 0
    return [*buckets[start:], *buckets[:start]]


def reaches(start: int, goal: int, next_of: Callable[[int], list[int]]) -> bool:
    """Whether a walk along `next_of` from `start` comes to `goal`."""
    seen, waiting = set(), [start]
    while waiting:
        at = waiting.pop()
        if at == goal:
            return True
        if at not in seen:
            seen.add(at)
            waiting.extend(next_of(at))
    return False

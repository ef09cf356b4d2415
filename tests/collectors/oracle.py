"""An oracle: what the numbers of a line must be, worked out from its raw events alone, with the standard library.

It knows the contract and no rule of the slices. `highest` holds what counters and histograms have to expose: of each
sample the greatest value it had after any fact, since the last finished import.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BUCKETS = {"reliability": 168, "security": 24, "cost": 720, "compliance": 168}  # hours to the SLA deadline
SEVERITIES = ("critical", "warning", "info")
WORK_BOUNDS = [
    *(m * MINUTE for m in (15, 30)), *(h * HOUR for h in (1, 2, 4, 8, 16)),
    *(d * DAY for d in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90)),
]  # fmt: skip
ANDON_BOUNDS = [
    *(m * MINUTE for m in (1, 2, 5, 10, 15, 30)), *(h * HOUR for h in (1, 2, 4, 8, 16)),
    *(d * DAY for d in (1, 2, 3, 7, 14, 30)),
]  # fmt: skip
OF_ONE_MOMENT = ["created", "noted", "queued", "blocked", "started", "progressed", "completed", "reopened", "cancelled"]


class Event(NamedTuple):
    at: int
    what: str
    detail: str = ""


class Standing(NamedTuple):
    status: str
    created: int
    started: int | None
    completed: int | None
    reopened: int


def stands(events: list[Event]) -> Standing:
    """Of all that happened to an order, in whatever order it was told."""
    told = sorted(events, key=lambda event: (event.at, OF_ONE_MOMENT.index(event.what)))
    waits = [event.what for event in told if event.what in ("queued", "blocked")]
    turns = [event.what for event in told if event.what in ("started", "completed", "reopened", "cancelled")]
    last = turns[-1] if turns else waits[-1] if waits else "queued"
    again = sum(one == "completed" and other != "cancelled" for one, other in pairwise(turns))
    starts = [event.at for event in told if event.what == "started"]
    ends = [event.at for event in told if event.what == "completed"]
    status = "in_progress" if last in ("started", "reopened") else last
    return Standing(status, told[0].at, min(starts, default=None), max(ends, default=None), again)


def _place(event: Event) -> tuple[int, int, str]:
    return event.at, OF_ONE_MOMENT.index(event.what), event.detail


@dataclass
class Order:
    id: str
    bucket: str
    external_id: str | None
    priority: int = 5
    events: list[Event] = field(default_factory=list)

    def now(self) -> Standing:
        return stands(self.events)

    def last(self) -> int:
        return max(event.at for event in self.events)


@dataclass
class Andon:
    id: str
    severity: str
    raised: int
    answered: int | None = None
    resolved: int | None = None


class Window(NamedTuple):
    """Durations (ms) of what ended after `after` and by `until`."""

    values: list[int]

    def percentile(self, share: float) -> float | None:
        """In hours, by linear interpolation between ranks."""
        if not self.values:
            return None
        ordered = sorted(self.values)
        rank, part = divmod((len(ordered) - 1) * share, 1)
        low, high = ordered[int(rank)], ordered[min(int(rank) + 1, len(ordered) - 1)]
        return (low + (high - low) * part) / HOUR

    def mean(self) -> float | None:
        """In milliseconds."""
        return fmean(self.values) if self.values else None


class Oracle:
    """Told every event that the line took in, in the order of its ledger."""

    def __init__(self, windows: dict[str, int]) -> None:
        self.windows = windows
        self.orders: dict[str, Order] = {}
        self.andons: dict[str, Andon] = {}
        self.limits: dict[str, int | None] = dict.fromkeys(BUCKETS, 5)
        self.highest: dict[str, float] = {}
        self.fact()

    # --- what happened -------------------------------------------------------------------------------------------

    def order(self, bucket: str, external_id: str | None, event: Event, priority: int = 5) -> Order:
        order = Order(f"WO-{len(self.orders) + 1}", bucket, external_id, priority)
        self.orders[order.id] = order
        self.happened(order, event)
        return order

    def happened(self, order: Order, event: Event) -> None:
        order.events.append(event)
        self.fact()

    def recorded(self, item: str, bucket: str | None, events: list[Event]) -> int:
        """How many were new. Identity is (item, activity, time)."""
        order = next((one for one in self.orders.values() if one.external_id == item), None)
        new = 0
        if order and bucket and min([*events, *order.events], key=_place) not in order.events:
            order.bucket = bucket  # an item is where its first event says
        for event in events:
            known = {(each.at, each.detail) for each in order.events} if order else set()
            if (event.at, event.detail) in known:
                continue
            new += 1
            if order:
                self.happened(order, event)
            else:
                order = self.order(bucket or next(iter(BUCKETS)), item, event)
        return new

    def whole(self, item: str, bucket: str | None, events: list[Event]) -> bool:
        """A table's row takes the place of what was known but for notes. Whether it changed anything."""
        order = next((one for one in self.orders.values() if one.external_id == item), None)
        if order is None:
            first, *rest = events
            order = Order(f"WO-{len(self.orders) + 1}", bucket or next(iter(BUCKETS)), item, events=[first, *rest])
            self.orders[order.id] = order
        else:
            told = [event for event in order.events if event.what == "noted"] + events
            if stands(told) == order.now() and bucket in (None, order.bucket):
                return False
            order.events, order.bucket = told, bucket or order.bucket
        self.fact()
        return True

    def raised(self, andon: str, severity: str, at: int) -> None:
        self.andons[andon] = Andon(andon, severity, at)
        self.fact()

    def answered(self, andon: Andon, at: int, resolved: bool) -> None:
        if resolved:
            andon.resolved = at
        else:
            andon.answered = at
        self.fact()

    def fact(self) -> None:
        """After each fact: what is exposed is the greatest of each sample."""
        for name, value in self.exposed().items():
            self.highest[name] = max(value, self.highest.get(name, value))

    def imported(self) -> None:
        """A finished import lets what is exposed fall to the truth."""
        self.highest = self.exposed()

    # --- what it comes to ----------------------------------------------------------------------------------------

    def exposed(self) -> dict[str, float]:
        """Counters and histograms as they are."""
        orders = [(order.bucket, order.now()) for order in self.orders.values()]
        done = [(bucket, one) for bucket, one in orders if one.completed is not None]
        shown: dict[str, float] = {
            "tcps_work_orders_total": len(orders), "tcps_work_orders_completed_total": len(done),
            "tcps_work_orders_reopened_total": sum(one.reopened for _, one in orders),
        }  # fmt: skip
        for bucket in BUCKETS:
            mine = [one for name, one in done if name == bucket]
            label = f'bucket="{bucket}"'
            shown |= histogram("tcps_work_order_lead_time_seconds", label, WORK_BOUNDS, [lead(one) for one in mine])
            shown |= histogram("tcps_work_order_cycle_time_seconds", label, WORK_BOUNDS, cycles(mine))
        answers = [one.answered - one.raised for one in self.andons.values() if one.answered is not None]
        repairs = [one.resolved - one.raised for one in self.andons.values() if one.resolved is not None]
        shown |= histogram("tcps_andon_time_to_acknowledge_seconds", "", ANDON_BOUNDS, answers)
        shown |= histogram("tcps_andon_time_to_resolve_seconds", "", ANDON_BOUNDS, repairs)
        raised = Counter(one.severity for one in self.andons.values())
        return shown | {f'tcps_andon_events_total{{severity="{name}"}}': raised[name] for name in SEVERITIES}

    def ended(self, now: int, width: int) -> list[Standing]:
        """The orders whose last completion lies in the window."""
        every = [order.now() for order in self.orders.values()]
        return [one for one in every if one.completed is not None and now - width < one.completed <= now]

    def leads(self, now: int) -> Window:
        return Window([lead(one) for one in self.ended(now, self.windows["lead_time"])])

    def cycles(self, now: int) -> Window:
        return Window(cycles(self.ended(now, self.windows["cycle_time"])))

    def active(self, bucket: str | None = None) -> list[Order]:
        return [one for one in self.of_status("in_progress") if bucket in (None, one.bucket)]

    def of_status(self, *statuses: str) -> list[Order]:
        return [order for order in self.orders.values() if order.now().status in statuses]

    def ages(self, now: int, bucket: str | None = None) -> list[int]:
        """How long work goes on: since its first start, or its demand where none was told."""
        every = [order.now() for order in self.active(bucket)]
        return [max(0, now - (one.created if one.started is None else one.started)) for one in every]

    def sla(self, now: int) -> tuple[Counter[str], Counter[str]]:
        """Open orders past their deadline, and those with under a quarter of the time left, by bucket."""
        late: Counter[str] = Counter()
        soon: Counter[str] = Counter()
        for order in self.of_status("queued", "blocked", "in_progress"):
            whole = BUCKETS[order.bucket] * HOUR
            left = order.now().created + whole - now
            late[order.bucket] += left < 0
            soon[order.bucket] += left >= 0 and left * 4 < whole
        return late, soon

    def open(self) -> list[Andon]:
        return [one for one in self.andons.values() if one.resolved is None]

    def waited(self, now: int) -> tuple[Window, Window]:
        """Times to answer and to resolve of what was answered and resolved in the window."""
        each, width = self.andons.values(), self.windows["andon"]
        answers = [one.answered - one.raised for one in each if one.answered and now - width < one.answered <= now]
        repairs = [one.resolved - one.raised for one in each if one.resolved and now - width < one.resolved <= now]
        return Window(answers), Window(repairs)


def lead(one: Standing) -> int:
    assert one.completed is not None
    return one.completed - one.created


def cycles(orders: list[Standing]) -> list[int]:
    """Of those that were started by their completion."""
    return [
        one.completed - one.started
        for one in orders
        if one.started is not None and one.completed is not None and one.started <= one.completed
    ]


def histogram(name: str, label: str, bounds: list[int], values: list[int]) -> dict[str, float]:
    ordered = sorted(values)
    comma, own = ("," if label else ""), (f"{{{label}}}" if label else "")
    shown: dict[str, float] = {
        f'{name}_bucket{{{label}{comma}le="{bound / 1000}"}}': bisect_right(ordered, bound) for bound in bounds
    }
    shown[f'{name}_bucket{{{label}{comma}le="+Inf"}}'] = shown[f"{name}_count{own}"] = len(ordered)
    return shown | {f"{name}_sum{own}": sum(ordered) / 1000}

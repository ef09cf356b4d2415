"""A line that behaves like a real one: demand comes by day, waits, is pulled as far as limits allow, passes the stages,
now and then fails one and stops until somebody has answered and resolved the cord.

It is told by a queue of what is due, each at its moment; all it does is call public commands with event times. What
the line refuses (somebody else took the work, a limit, an andon) changes its plans as it would change a team's.
"""

import heapq
import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from exporter.contract import DAY, HOUR, Actions, Refusal

MINUTE = 60_000
DEMAND = ("Fix", "Harden", "Speed up", "Document", "Replace", "Test", "Upgrade", "Simplify")
PARTS = ("login", "invoice export", "price list", "search", "mail queue", "audit log", "backup", "stock ledger")
PEOPLE = ("ana", "bo", "chen", "dina", "emil")
FAILURES = (
    ("test_execution", "test_failure", 0.055), ("compilation", "compilation_failure", 0.015),
    ("security_scan", "security_violation", 0.02), ("quality_metrics", "quality_violation", 0.03),
)  # fmt: skip
CAUSES = (
    ("a fixture depended on the time of day", "pinned the clock in the fixture", "the linter now refuses bare clocks"),
    ("a dependency changed its default", "set the option explicitly", "dependencies are pinned and reviewed weekly"),
    ("two changes met without a rebase", "rebased and ran the gates", "the queue merges one change at a time"),
)


def begin(actions: Actions) -> Callable[[], None] | None:
    """What to do at each tick. None: the demo is off."""
    if not actions.settings["demo"]:
        return None
    begun = bool(actions.ask("work_orders.find", limit=1).work_orders)
    history = 0 if begun else actions.settings["demo_days"] * DAY
    line = Line(actions, actions.now() - history, actions.settings["demo_seed"])
    if begun:
        line.take_up(actions.now())

    def tick() -> None:
        now = actions.now()
        line.play(now)
        line.hasten(now, actions.settings["demo_pace"])

    return tick


class Line:
    """The simulated team. Its pace divides every wait: 1 while history is told, more when it goes on live."""

    def __init__(self, actions: Actions, start: int, seed: int):
        self._actions = actions
        self._dice = random.Random(seed)
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._waiting: list[str] = []
        self._queued: dict[str, set[str]] = {}
        self._held: dict[str, list[Any]] = {}
        self._full: set[str] = set()
        self._refusal = ""
        self._pace = 1.0
        self._after(start, 0, self._demand)

    def play(self, until: int) -> None:
        """Everything that is due until then, in its order."""
        while self._due and self._due[0][0] <= until:
            at, _, act, about = heapq.heappop(self._due)
            act(at, *about)

    def take_up(self, now: int) -> None:
        """Goes on with what a team before it left: its cords, its work, its queue."""
        stopped: set[str] = set()
        for status in ("open", "acknowledged"):
            for andon in self._actions.ask("andon.find", status=status, limit=500).andons:
                stopped.add(andon.details.get("order", ""))
                self._after(now, MINUTE, self._answer, andon.id, now)
                rest = self._rest(andon.stage)
                self._after(now, HOUR, self._resolve, andon.id, andon.details.get("order", ""), andon.sku_id, rest)
        for order in self._actions.ask("work_orders.find", status="in_progress", limit=500).work_orders:
            if order.id not in stopped:
                self._go_on(now, order.id, order.sku_id, self._rest(order.current_stage))
        for order in self._actions.ask("work_orders.find", status="queued", limit=500).work_orders:
            self._line_up(now, order)

    def _rest(self, stage: str | None) -> list[str]:
        """The stages after this one; all of them before the first is reached."""
        stages = list(self._actions.settings["stages"])
        return stages[stages.index(stage) + 1 :] if stage in stages else stages

    def hasten(self, now: int, pace: float) -> None:
        """From now on every wait is shorter, also those that have begun."""
        if pace == self._pace:
            return
        gain, self._pace = pace / self._pace, pace
        self._due = [(now + math.ceil((at - now) / gain), n, act, about) for at, n, act, about in self._due]
        heapq.heapify(self._due)

    def _after(self, at: int, wait: float, act: Callable[..., None], *about: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (at + math.ceil(wait / self._pace), self._count, act, about))

    def _spread(self, median: float, sigma: float = 0.7) -> float:
        """A wait as real ones are: mostly short, sometimes very long."""
        return median * math.exp(self._dice.gauss(0, sigma))

    def _call(self, command: str, at: int, **body: Any) -> Any:
        """The command's result. None: the line refused."""
        try:
            return self._actions.call(command, {**body, "occurred_at": at}, by=f"demo:{self._dice.choice(PEOPLE)}")
        except Refusal as refusal:
            self._refusal = refusal.code
            return None

    def _demand(self, at: int) -> None:
        """Fewer orders by night and at weekends; one in twelve waits for another."""
        hour, weekday = at // HOUR % 24, (at // DAY + 3) % 7
        busy = (1.0 if 7 <= hour < 18 else 0.35) * (1.0 if weekday < 5 else 0.4)
        if self._pace > 1 or self._dice.random() < busy:
            self._create(at)
        self._after(at, self._spread(20 * MINUTE, 0.5), self._demand)

    def _create(self, at: int) -> None:
        buckets = list(self._actions.settings.table("buckets"))
        weights = [4, 2, 1, 2, *[1] * len(buckets)][: len(buckets)]
        self._waiting = self._waiting[-20:]
        depends_on = [self._dice.choice(self._waiting)] if self._waiting and self._dice.random() < 0.08 else []
        self._count += 1
        order = self._call(
            "work_orders.create", at,
            description=f"{self._dice.choice(DEMAND)} the {self._dice.choice(PARTS)}",
            bucket=self._dice.choices(buckets, weights)[0],
            priority=self._dice.choices(["low", "medium", "high", "critical"], [3, 5, 2, 1])[0],
            sku_id=f"sku-{self._count:05d}", dependencies=depends_on, labels=["demo"],
        )  # fmt: skip
        if order:
            self._waiting.append(order.id)
            if order.status == "blocked":
                self._held.setdefault(depends_on[0], []).append(order)
            else:
                self._line_up(at, order)
            if self._dice.random() < 0.015:
                self._after(at, self._spread(6 * HOUR), self._cancel, order.id)

    def _line_up(self, at: int, order: Any) -> None:
        self._queued.setdefault(order.bucket, set()).add(order.id)
        self._after(at, 1, self._pull, order.bucket)

    def _pull(self, at: int, bucket: str) -> None:
        """Looks at the board first; now and then somebody tries without."""
        queued = self._queued.get(bucket)
        if not queued or (bucket in self._full and self._dice.random() > 0.02):
            return
        order = self._call("work_orders.pull", at, bucket=bucket)
        if order:
            queued.discard(order.id)
            stages = list(self._actions.settings["stages"])
            self._after(at, self._spread(25 * MINUTE), self._reach, order.id, order.sku_id, stages)
            self._after(at, 1, self._pull, bucket)
        elif self._refusal == "wip_limit_reached":
            self._full.add(bucket)
        else:
            queued.clear()  # somebody else was faster

    def _cancel(self, at: int, order: str) -> None:
        self._leave(at, self._call("work_orders.cancel", at, id=order, reason="no longer needed"))

    def _leave(self, at: int, order: Any) -> None:
        """Where work ended there is room, and what waited for it may be pulled."""
        if order:
            self._full.discard(order.bucket)
            self._queued.setdefault(order.bucket, set()).discard(order.id)
            self._after(at, 1, self._pull, order.bucket)
            for held in self._held.pop(order.id, ()):
                self._line_up(at + 2, held)

    def _reach(self, at: int, order: str, sku: str, stages: list[str]) -> None:
        """The next stage, and what happens there."""
        stage, *rest = stages
        if not self._call("work_orders.progress", at, id=order, stage=stage):
            return
        for failing, failure, chance in FAILURES:
            if failing == stage and self._dice.random() < chance:
                self._fail(at, order, sku, stages, failure)
                return
        self._go_on(at, order, sku, rest)

    def _go_on(self, at: int, order: str, sku: str, stages: list[str]) -> None:
        if stages:
            self._after(at, self._spread(35 * MINUTE), self._reach, order, sku, stages)
        else:
            self._after(at, self._spread(30 * MINUTE), self._complete, order)

    def _fail(self, at: int, order: str, sku: str, stages: list[str], failure: str) -> None:
        andon = self._call(
            "andon.raise", at, failure_type=failure, sku_id=sku, stage=stages[0], details={"order": order}
        )
        if andon:
            answer, mend = self._spread(5 * MINUTE), self._spread(70 * MINUTE)
            self._after(at, answer, self._answer, andon.id, at)
            self._after(at, answer + mend, self._resolve, andon.id, order, sku, stages[1:])

    def _answer(self, at: int, andon: str, raised: int) -> None:
        if at - raised > self._actions.settings["ack_timeout"]:
            with suppress(Refusal):  # the clock may have come first
                self._actions.call("andon.escalate", {"id": andon}, by="clock")
        self._call("andon.acknowledge", at, id=andon, note="on my way")

    def _resolve(self, at: int, andon: str, order: str, sku: str, stages: list[str]) -> None:
        cause, fix, prevention = self._dice.choice(CAUSES)
        self._call(
            "andon.resolve", at, id=andon, root_cause=cause, fix_applied=fix, prevention_added=prevention,
            resolver=self._dice.choice(PEOPLE),
        )  # fmt: skip
        self._go_on(at, order, sku, stages)

    def _complete(self, at: int, order: str) -> None:
        done = self._call("work_orders.complete", at, id=order)
        self._leave(at, done)
        if done and self._dice.random() < 0.03:
            self._after(at, self._spread(20 * HOUR), self._reopen, order)

    def _reopen(self, at: int, order: str) -> None:
        if self._call("work_orders.reopen", at, id=order):
            self._after(at, self._spread(3 * HOUR), self._complete, order)

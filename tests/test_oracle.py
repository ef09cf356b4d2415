"""Any interleaving of commands, late history, clock moves and restarts gives the numbers of an oracle.

The oracle (tests/collectors/oracle.py) is told the raw events only. TCPS_ORACLE_EXAMPLES=500 looks further, at random.
"""

import io
import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collectors.intake import csv_door
from exporter.contract import Refusal
from tests.collectors.oracle import BUCKETS, DAY, HOUR, MINUTE, SEVERITIES, Event, Oracle, Order, Window
from tests.line import Line

EXAMPLES = os.environ.get("TCPS_ORACLE_EXAMPLES")
WINDOWS = {"lead_time": 4 * DAY, "cycle_time": 2 * DAY, "throughput": 12 * HOUR, "andon": DAY}
WIDE = WINDOWS | {"lead_time": 60 * DAY, "cycle_time": 45 * DAY}
NAMES = tuple(BUCKETS)
ITEMS = ("T-0", "T-1", "T-2", "T-3")
REPAIR = {"root_cause": "a race", "fix_applied": "a lock", "prevention_added": "a test", "resolver": "bo"}


class Both:
    """A line and the oracle: what the line takes in, the oracle is told."""

    def __init__(self, folder: Path, windows: dict[str, int] = WINDOWS):
        self.line = Line(folder, **{f"windows.{name}": f"{width}ms" for name, width in windows.items()})
        self.oracle = Oracle(windows)
        self.shown: dict[str, float] = {}
        self.checkpoint: list[tuple[Any, ...]] = []

    def call(self, command: str, back: int = 0, **body: Any) -> int | None:
        """When it happened, if the line took it: `back` ms ago. None: the line refused."""
        at = self.line.now - back
        try:
            self.line.call(command, **body, occurred_at=at)
        except Refusal:
            return None
        return at

    # --- what may happen; `pick` chooses among those that it may happen to ----------------------------------------

    def create(self, bucket: str, back: int, item: str | None) -> None:
        if item and any(order.external_id == item for order in self.oracle.orders.values()):
            return
        if at := self.call("work_orders.create", back, description="x", bucket=bucket, external_id=item):
            self.oracle.order(bucket, item, Event(at, "created"))

    def start(self, pick: int, back: int) -> None:
        for order in self._one(pick, "queued", "blocked"):
            limit, work = self.oracle.limits[order.bucket], len(self.oracle.active(order.bucket))
            at = self.call("work_orders.start", back, id=order.id)
            if at is None:
                assert (limit is not None and work >= limit) or self.line.now - back < order.last() + 1
            else:
                assert limit is None or work < limit
                self.oracle.happened(order, Event(at, "started"))

    def step(self, pick: int, back: int, what: str) -> None:
        """complete, reopen or cancel; a stage is reached by orders only that no table and no tracker knows."""
        of_status = {"reopened": ("completed",), "cancelled": ("queued", "in_progress")}.get(what, ("in_progress",))
        command = {"completed": "complete", "reopened": "reopen", "cancelled": "cancel", "progressed": "progress"}[what]
        body = {"cancelled": {"reason": "no"}, "progressed": {"stage": "compilation"}}.get(what, {})
        for order in self._one(pick, *of_status):
            if what == "progressed" and order.external_id:
                continue
            if at := self.call(f"work_orders.{command}", back, id=order.id, **body):
                self.oracle.happened(order, Event(at, what, next(iter(body.values()), "")))

    def pull(self, bucket: str | None) -> None:
        with suppress(Refusal):
            told = self.line.call("work_orders.pull", bucket=bucket)
            order = self.oracle.orders[told["id"]]
            assert order.now().status == "queued"
            assert bucket in (None, order.bucket)
            limit = self.oracle.limits[order.bucket]
            assert limit is None or len(self.oracle.active(order.bucket)) < limit
            self.oracle.happened(order, Event(told["started_at"], "started"))

    def limit(self, bucket: str, limit: int | None) -> None:
        self.line.call("kanban.set_limit", bucket=bucket, limit=limit)
        self.oracle.limits[bucket] = limit

    def record(self, item: str, bucket: str, told: list[tuple[str, int]]) -> None:
        events = [Event(self.line.now - back, what, f"{what} there") for what, back in told]
        told_of = {"item": item, "bucket": bucket}
        entries = [told_of | {"at": one.at, "what": one.what, "activity": one.detail} for one in events]
        got = self.line.call("work_orders.record", entries=entries)
        new = self.oracle.recorded(item, bucket, events)
        assert got == {"accepted": new, "duplicates": len(events) - new}

    def table(self, item: str, bucket: str | None, back: int, work: int | None, done: int | None) -> None:
        """A wide row: demanded so long ago, begun and done so long after that."""
        if work is not None and done is not None and done < work <= back:
            return  # such a start is noted only
        created = self.line.now - back
        row: dict[str, Any] = {"item": item, "bucket": bucket, "created_at": created}
        events = [Event(created, "created")]
        for name, what, after in (("started_at", "started", work), ("completed_at", "completed", done)):
            if after is not None and after <= back:
                row[name] = created + after
                if what == "completed" or done is None or not done < after <= back:  # no start after the completion
                    events.append(Event(created + after, what))
        got = self.line.call("work_orders.record", wholes=[row])
        assert got["accepted"] == self.oracle.whole(item, bucket, events)

    def bring(self, rows: list[tuple[str, str, int]]) -> None:
        """A log through the door for CSV, after which counters may fall once."""
        events = [(item, Event(self.line.now - back, what, f"{what} there")) for item, what, back in rows]
        text = "".join(f"{item},{event.detail},{event.at}\n" for item, event in events)
        status = {"started": "in_progress", "completed": "completed"}
        options = csv_door.Options(
            item="item", activity="what", time="at", map=[f"{what} there={status[what]}" for what in status]
        )
        got = csv_door.run(self.line.service, io.BytesIO(f"item,what,at\n{text}".encode()), options, "tester")
        order = sorted({row[0] for row in rows})  # a batch is recorded item by item
        new = sum(self.oracle.recorded(item, None, [e for name, e in events if name == item]) for item in order)
        assert (got.facts, got.duplicates) == (new, len(rows) - new)
        if new:
            self.oracle.imported()
            self.shown = {}

    def andon(self, severity: str, back: int) -> None:
        andon = f"AND-{len(self.oracle.andons) + 1}"
        if at := self.call("andon.raise", back, failure_type="x", sku_id=f"sku {andon}", severity=severity):
            self.oracle.raised(andon, severity, at)

    def answer(self, pick: int, back: int, repair: bool) -> None:
        waiting = [one for one in self.oracle.open() if repair or one.answered is None]
        for one in waiting[pick % len(waiting) :][:1] if waiting else []:
            command, body = ("andon.resolve", REPAIR) if repair else ("andon.acknowledge", {})
            if at := self.call(command, back, id=one.id, **body):
                self.oracle.answered(one, at, repair)

    def wait(self, much: int) -> None:
        self.line.now += much

    def restart(self, how: str) -> None:
        """With the checkpoint of its end, without any, or with an older one, as after a crash."""
        if how == "keep":
            self.line.service.snapshots.collect()
            self.line.service.fold.checkpoint()
            self.checkpoint = self._sql("SELECT * FROM checkpoint")
            return
        self.line.close()
        if how == "refold" or (how == "crash" and self.checkpoint):
            self._sql("DELETE FROM checkpoint")
        for row in self.checkpoint if how == "crash" else ():
            self._sql("INSERT INTO checkpoint VALUES (?, ?, ?, ?)", row)
        self.line.open()

    def _sql(self, text: str, row: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(self.line.folder / "line.db")
        with database:
            found = database.execute(text, row).fetchall()
        database.close()
        return found

    def _one(self, pick: int, *statuses: str) -> list[Order]:
        found = self.oracle.of_status(*statuses)
        return [found[pick % len(found)]] if found else []


# --- what both must say ------------------------------------------------------------------------------------------


def agree(both: Both) -> None:
    """Every number of the line is the oracle's."""
    shown = both.line.metrics()
    exposed = {name: shown[name] for name in both.oracle.highest}
    assert exposed == both.oracle.highest
    assert {name: value for name, value in exposed.items() if value < both.shown.get(name, 0)} == {}, "none ever falls"
    both.shown = exposed
    agree_on_orders(both.line, both.oracle, shown)
    agree_on_flow(both.line, both.oracle)
    agree_on_aging(both.line, both.oracle, shown)
    agree_on_andons(both.line, both.oracle, shown)


def agree_on_orders(line: Line, oracle: Oracle, shown: dict[str, float]) -> None:
    overview, kanban = line.document("overview"), line.document("kanban")
    active = len(oracle.active())
    assert (overview["total_work_orders"], overview["active_work_orders"]) == (len(oracle.orders), active)
    assert (shown["tcps_work_orders_active"], kanban["total_wip"]) == (active, active)
    late, soon = oracle.sla(line.now)
    queued = [order.bucket for order in oracle.of_status("queued")]
    for bucket in BUCKETS:
        work, limit = len(oracle.active(bucket)), oracle.limits[bucket]
        assert (kanban[bucket]["current"], kanban[bucket]["limit"]) == (work, limit)
        families = ("kanban_wip", "kanban_queued", "work_orders_sla_breached", "work_orders_sla_warning")
        found = [shown[f'tcps_{family}{{bucket="{bucket}"}}'] for family in families]
        assert found == [work, queued.count(bucket), late[bucket], soon[bucket]], bucket


def agree_on_flow(line: Line, oracle: Oracle) -> None:
    flow, now = line.document("flow"), line.now
    cycle = oracle.cycles(now)
    for name, window in (("lead_time", oracle.leads(now)), ("cycle_time", cycle)):
        agree_on_window(flow[f"{name}_hours"], window)
    bands = [sum(1 for one in cycle.values if after < one <= until) for after, until in (
        (-1, DAY), (DAY, 2 * DAY), (2 * DAY, 3 * DAY), (3 * DAY, now)
    )]  # fmt: skip
    assert list(flow["cycle_time_distribution"].values()) == bands
    done = len(oracle.ended(now, oracle.windows["throughput"]))
    rate = flow["throughput_rate"]
    assert (rate["n"], rate["per_hour"], rate["skus_per_day"]) == (done, done / 12, done * 2)
    last, before = len(oracle.ended(now, 7 * DAY)), len(oracle.ended(now - 7 * DAY, 7 * DAY))
    trend = "stable" if not before or last == before else "increasing" if last > before else "decreasing"
    assert rate["trend"] == trend
    assert flow["reopened"] == sum(order.now().reopened for order in oracle.orders.values())


def agree_on_window(found: dict[str, Any], window: Window) -> None:
    assert found["n"] == len(window.values)
    mean = window.mean()
    assert found["mean"] == (None if mean is None else pytest.approx(mean / HOUR, rel=1e-9))
    for name, share in (("p50", 0.5), ("p85", 0.85), ("p95", 0.95)):
        expected = window.percentile(share)
        assert found[name] == (None if expected is None else pytest.approx(expected, rel=0.01)), name


def agree_on_aging(line: Line, oracle: Oracle, shown: dict[str, float]) -> None:
    flow, cycle = line.document("flow"), oracle.cycles(line.now)
    aging, ages = flow["aging"], sorted(oracle.ages(line.now), reverse=True)
    assert [one["elapsed_hours"] for one in flow["active_work_orders"]] == [age / HOUR for age in ages[:10]]
    for name, share in (("p50", 0.5), ("p85", 0.85)):
        edge = cycle.percentile(share)
        if edge is None:
            assert (aging[f"{name}_hours"], aging[f"past_{name}"]) == (None, 0)
        else:  # within the one percent that percentiles may be off
            least, most = (sum(age > edge * HOUR * off for age in ages) for off in (1.01, 0.99))
            assert least <= aging[f"past_{name}"] <= most
    for bucket in BUCKETS:
        bands = [shown[f'tcps_work_orders_aging{{band="{band}",bucket="{bucket}"}}'] for band in (
            "under_p50", "p50_to_p85", "over_p85"
        )]  # fmt: skip
        assert sum(bands) == len(oracle.ages(line.now, bucket))


def agree_on_andons(line: Line, oracle: Oracle, shown: dict[str, float]) -> None:
    andon, opened = line.document("andon"), oracle.open()
    severities = [one.severity for one in opened]
    assert andon["total_open"] == shown["tcps_andon_events_open"] == len(opened)
    assert andon["by_severity"] == {name: severities.count(name) for name in SEVERITIES}
    assert andon["unacknowledged"] == sum(one.answered is None for one in opened)
    for name, window in zip(("mtta_seconds", "mttr_seconds"), oracle.waited(line.now), strict=True):
        mean = window.mean()
        assert andon[name] == (None if mean is None else pytest.approx(mean / 1000, rel=1e-9)), name
    for severity in SEVERITIES:
        oldest = min((one.raised / 1000 for one in opened if one.severity == severity), default=None)
        assert shown.get(f'tcps_andon_oldest_open_timestamp_seconds{{severity="{severity}"}}') == oldest
    newest = sorted((one.raised for one in oracle.andons.values()), reverse=True)[:10]
    assert [one["timestamp"] for one in andon["recent_events"]] == newest


# --- any interleaving --------------------------------------------------------------------------------------------

bucket = st.sampled_from(NAMES)
item = st.sampled_from(ITEMS)
pick = st.integers(0, 20)
recent = st.sampled_from((0, 0, 0, 1, MINUTE, HOUR))
ago = st.one_of(st.sampled_from((0, MINUTE, HOUR, DAY, 4 * DAY)), st.integers(0, 20 * DAY))
history = st.sampled_from(("created", "noted", "queued", "blocked", "started", "completed", "completed", "cancelled"))
STEPS = st.one_of(
    st.tuples(st.just("create"), bucket, ago, st.none() | item),
    st.tuples(st.just("start"), pick, recent),
    st.tuples(st.just("pull"), st.none() | bucket),
    st.tuples(st.just("step"), pick, recent, st.sampled_from(("completed", "completed", "progressed"))),
    st.tuples(st.just("step"), pick, recent, st.sampled_from(("completed", "reopened", "cancelled"))),
    st.tuples(st.just("limit"), bucket, st.sampled_from((None, 0, 1, 2, 5))),
    st.tuples(st.just("record"), item, bucket, st.lists(st.tuples(history, ago), min_size=1, max_size=5)),
    st.tuples(st.just("table"), item, st.none() | bucket, ago, st.none() | ago, st.none() | ago),
    st.tuples(st.just("table"), item, st.none() | bucket, st.just(20 * DAY), st.none() | ago, ago),
    st.tuples(st.just("bring"), st.lists(
        st.tuples(item, st.sampled_from(("noted", "started", "completed")), ago), min_size=1, max_size=6
    )),
    st.tuples(st.just("andon"), st.sampled_from(SEVERITIES), ago),
    st.tuples(st.just("answer"), pick, recent, st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from((1, MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY))),
    st.tuples(st.just("restart"), st.sampled_from(("keep", "keep", "clean", "refold", "crash"))),
    st.tuples(st.just("look")),
)  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once: migrations take longer than a whole story."""
    line = Line(tmp_path_factory.mktemp("empty"))
    line.close()
    return line.folder / "line.db"


def play(both: Both, steps: list[tuple[Any, ...]]) -> None:
    for name, *values in steps:
        if name == "look":
            agree(both)
        else:
            getattr(both, name)(*values)
    agree(both)


@settings(
    max_examples=int(EXAMPLES or 60), derandomize=not EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], phases=[Phase.generate, Phase.shrink],
)  # fmt: skip
@given(steps=st.lists(STEPS, min_size=5, max_size=45))
def test_any_interleaving_gives_the_numbers_of_the_oracle(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("played")
    shutil.copy(empty, folder)
    both = Both(folder)
    try:
        play(both, steps)
    finally:
        both.line.close()
        shutil.rmtree(folder)


def test_thousands_of_orders_of_three_months_give_the_numbers_of_the_oracle(empty: Path, tmp_path: Path) -> None:
    """Told late and early, corrected and reopened, over windows that pass: more than views keep or sort one by one."""
    shutil.copy(empty, tmp_path)
    both = Both(tmp_path, WIDE)
    line, oracle, random = both.line, both.oracle, Random(7)
    for day in range(90):
        line.now += DAY
        rows = [row for _ in range(60) if (row := wide_row(oracle, random, line.now))]
        line.call("work_orders.record", wholes=rows)
        if day % 6 == 0:
            agree_on_orders(line, oracle, line.metrics())
            agree_on_flow(line, oracle)
        if day in (30, 60):
            both.restart("refold" if day == 30 else "clean")
    agree_on_aging(line, oracle, line.metrics())
    assert len(oracle.cycles(line.now).values) > 2200
    shown = line.metrics()
    line.close()
    done = sum(order.now().completed is not None for order in oracle.orders.values())
    assert done > 3000
    assert shown["tcps_work_orders_completed_total"] >= done


def wide_row(oracle: Oracle, random: Random, now: int) -> dict[str, Any]:
    """A new order, or in one of ten cases an old one that was completed later than told before."""
    known = random.choice([*oracle.orders.values()]) if oracle.orders and random.random() < 0.1 else None
    order = known or Order(f"WO-{len(oracle.orders) + 1}", random.choice(NAMES), f"T-{len(oracle.orders)}")
    ended = now - round(random.expovariate(1 / DAY))
    started = ended - round(random.lognormvariate(0.5, 1) * 10 * HOUR)
    created = started - round(random.expovariate(1 / (5 * HOUR)))
    order.events = [Event(created, "created"), Event(started, "started"), Event(ended, "completed")]
    if random.random() < 0.05:
        order.events.pop()
    oracle.orders[order.id] = order
    keys = {"created": "created_at", "started": "started_at", "completed": "completed_at"}
    return {"item": order.external_id, "bucket": order.bucket} | {keys[each.what]: each.at for each in order.events}

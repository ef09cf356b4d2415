"""A collector that fails costs its own success, keeps its last good document for a while, and harms no other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exporter import registry
from exporter.contract import Collector, Counter, Document, Fact, Metric, Reading, Settings, Struct, View
from exporter.errors import StartupError
from tests.exporter.plugged import Plugged
from tests.exporter.stories import numbers, work
from tests.line import MINUTE, Line

NAMES = [collector.name for collector in registry.discover() if collector.view]


class Ill(Exception):
    """What ails it."""


class Seen(Struct):
    orders: int


class Moody(View):
    """Counts work orders. It can't stand that work on the SKU named poison starts, and reads only while it is well."""

    orders: Counter
    well = True

    def __init__(self, settings: Settings, since: int):
        self.orders = Counter()

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {"work_orders.created": self.count, "work_orders.started": self.taste}

    def count(self, fact: Fact) -> None:
        self.orders.add(1)

    def taste(self, fact: Fact) -> None:
        if fact.data.now.sku_id == "poison":
            raise Ill("poison")

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        if not self.well:
            raise Ill("not today")
        return Reading(Seen(orders=self.orders.value), {"tcps_moody_orders_total": self.orders.highest})


MOODY = Collector(
    name="moody",
    summary="Moody.",
    reads=("work_orders.created", "work_orders.started"),
    view=Moody,
    document=Document(Seen),
    metrics=(Metric("tcps_moody_orders_total", "counter", "Orders seen."),),
)


@pytest.fixture
def moody(tmp_path: Path) -> Iterator[Plugged]:
    line = Plugged(tmp_path, MOODY)
    for _ in range(3):
        line.call("work_orders.create", description="x")
    assert shown(line)["orders"] == 3
    yield line
    line.close()


def view(line: Plugged) -> Any:
    return line.service.fold.views["moody"]


def shown(line: Plugged) -> Any:
    return line.shown("moody")


def poison(line: Line) -> None:
    line.call("kanban.set_limit", bucket="cost", limit=None)
    order = line.call("work_orders.create", description="x", bucket="cost", sku_id="poison")
    line.call("work_orders.start", id=order["id"])


def only(name: str) -> dict[str, int]:
    return {other: int(other != name) for other in {*NAMES, name}}


# --- in folding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True])
def test_a_view_that_cannot_fold_a_fact_is_set_aside_and_the_others_fold_it(tmp_path: Path, last: bool) -> None:
    lines = [Plugged(tmp_path / "moody", MOODY, last=last), Line(tmp_path)]
    for line in lines:
        work(line, 1, 60)
        poison(line)
        work(line, 2, 60)
    moody, plain = lines
    assert isinstance(moody, Plugged)
    assert moody.successes() == only("moody")
    assert shown(moody) is None
    documents, metrics = numbers(plain)
    assert numbers(moody)[1] == metrics
    assert numbers_of_the_others(moody) == documents
    for line in lines:
        line.close()


def test_a_view_that_was_set_aside_is_shown_stale_for_a_while_and_then_not_at_all(moody: Plugged) -> None:
    collected = moody.now
    poison(moody)
    moody.now += MINUTE
    document = shown(moody)
    assert document == {
        "timestamp": collected, "age_seconds": 60, "window_seconds": None, "stale": True, "orders": 3,
    }  # fmt: skip
    assert moody.metrics()["tcps_moody_orders_total"] == 3
    moody.now += 1
    assert shown(moody) is None
    assert "tcps_moody_orders_total" not in moody.metrics()
    assert b'"moody":null' in moody.service.snapshots.current.all_at(moody.now)
    assert moody.successes() == only("moody")
    assert moody.metrics()['tcps_collector_last_success_timestamp_seconds{collector="moody"}'] == collected / 1000


def test_a_view_that_was_set_aside_is_folded_anew_after_a_restart(moody: Plugged) -> None:
    poison(moody)
    moody.service.snapshots.collect()
    before = numbers_of_the_others(moody)
    moody.restart()
    assert moody.successes() == only("moody")
    assert shown(moody) is None
    assert numbers_of_the_others(moody) == before
    moody.plugins = (replace(MOODY, view=Cured),)
    moody.restart()
    assert moody.successes() == dict.fromkeys([*NAMES, "moody"], 1)
    assert shown(moody)["orders"] == 4


class Cured(Moody):
    def taste(self, fact: Fact) -> None:
        """It got used to it."""


def numbers_of_the_others(line: Plugged) -> Any:
    snapshot = line.service.snapshots.collect()
    return {name: line.document(name) for name in snapshot.documents if name != "moody"}


# --- in reading --------------------------------------------------------------------------------------------------


def test_a_view_that_cannot_be_read_is_shown_stale_then_not_at_all_and_heals(moody: Plugged) -> None:
    view(moody).well = False
    moody.call("work_orders.create", description="x")
    assert (shown(moody)["stale"], shown(moody)["orders"]) == (True, 3)
    assert moody.successes() == only("moody")
    moody.now += MINUTE + 1
    assert shown(moody) is None
    view(moody).well = True
    document = shown(moody)
    assert (document["stale"], document["orders"], document["timestamp"]) == (False, 4, moody.now)
    assert moody.successes() == dict.fromkeys([*NAMES, "moody"], 1)


def test_what_cannot_be_written_as_json_is_the_fault_of_its_collector(moody: Plugged) -> None:
    view(moody).read = lambda now, documents: Reading({"orders": object()})
    assert moody.successes() == only("moody")
    assert shown(moody)["stale"] is True


def test_a_view_whose_state_cannot_be_kept_holds_up_neither_stop_nor_start(moody: Plugged) -> None:
    ill = view(moody)
    ill.dump = None
    moody.call("work_orders.create", description="x")
    moody.service.snapshots.collect()
    try:
        moody.restart()
    finally:
        del ill.dump
    assert shown(moody)["orders"] == 4


def sick(collector: Collector) -> Collector:
    assert collector.view

    class Sick(collector.view):  # type: ignore[name-defined, misc]
        def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
            raise Ill("from the start")

    return replace(collector, view=Sick)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_sick_from_the_start_harms_no_other(tmp_path: Path, name: str) -> None:
    line = Plugged(tmp_path, sick(registry.discover().collectors[name]))
    work(line, 3, 40)
    assert line.successes() == only(name)
    line.close()


@pytest.mark.parametrize("name", NAMES)
def test_one_that_falls_sick_harms_no_other(tmp_path: Path, name: str) -> None:
    line = Plugged(tmp_path, registry.discover().collectors[name])
    work(line, 3, 40)
    assert line.successes() == dict.fromkeys(NAMES, 1)
    line.service.fold.views[name].read = None  # type: ignore[method-assign, assignment]
    work(line, 4, 40)
    assert line.successes() == only(name)
    line.close()


def test_a_document_that_joins_a_stale_one_is_stale_and_then_does_without(line: Line) -> None:
    def overview() -> tuple[bool, int | None]:
        document = line.document("overview")
        return document["stale"], document["open_andons"]

    line.call("andon.raise", failure_type="test_failure", sku_id="a")
    assert overview() == (False, 1)
    line.service.fold.views["andon"].read = None  # type: ignore[method-assign, assignment]
    line.call("andon.raise", failure_type="test_failure", sku_id="b")
    line.now += MINUTE
    assert overview() == (True, 1)
    line.now += 1
    assert overview()[1] is None
    del line.service.fold.views["andon"].read
    assert overview() == (False, 2)


# --- snapshots ---------------------------------------------------------------------------------------------------


def test_a_snapshot_never_changes(line: Line) -> None:
    work(line, 5, 100)
    line.service.snapshots.collect()
    snapshot, text = line.service.snapshots.current, line.service.telemetry.render()
    histograms = [name for name in snapshot.values if name.endswith("_time_seconds")]
    before = {name: str(shapes(snapshot.values[name])) for name in histograms}
    assert histograms
    work(line, 6, 200)
    line.service.fold.catch_up()
    assert snapshot is line.service.snapshots.current
    assert {name: str(shapes(snapshot.values[name])) for name in histograms} == before
    assert domain(line.service.telemetry.render()) == domain(text)


def shapes(values: Any) -> dict[Any, Any]:
    return {labels: histogram.cumulative for labels, histogram in values.items()}


def domain(text: bytes) -> list[bytes]:
    return [row for row in text.splitlines() if row.startswith(b"tcps_work_order_")]


def test_documents_stand_in_the_order_of_the_collectors(line: Line) -> None:
    document = msgspec.json.decode(line.service.snapshots.collect().all_at(line.now))
    assert list(document) == [*(c.name for c in registry.discover() if c.document), "timestamp"]


def test_a_view_that_folds_what_its_manifest_does_not_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"^moody folds work_orders\.created without reading it in its manifest$"):
        Plugged(tmp_path, replace(MOODY, reads=()))

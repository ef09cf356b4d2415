"""A manifest that can't work stops the start and is named."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exporter import registry
from exporter.contract import Collector, Command, Document, Door, FactKind, Guard, LimitReached, Metric, Query, View
from exporter.errors import StartupError
from exporter.registry import GROUP, Registry
from tests.exporter.plugged import Plugged


class Nothing(msgspec.Struct):
    """Has no fields."""


def nothing(*_: Any) -> None:
    """Does nothing."""


def collector(name: str, **parts: Any) -> Collector:
    return Collector(name=name, summary=f"{name}.", **parts)


def fact(name: str) -> FactKind:
    return FactKind(name, Nothing, "It happened.", "channel", "event")


def command(name: str, **more: Any) -> Command:
    return Command(name, nothing, Nothing, "Does it.", **more)


def query(name: str, path: str = "/api/x") -> Query:
    return Query(name, nothing, Nothing, "Tells.", path, Nothing)


def metric(name: str) -> Metric:
    return Metric(name, "gauge", "A number.")


def door(name: str) -> Door:
    return Door(name, "A format.", Nothing, nothing, Nothing)


def guard(name: str) -> Guard:
    return Guard(name, nothing, LimitReached)


FAULTS: tuple[tuple[list[Collector], str], ...] = (
    (
        [collector("a", facts=(fact("a.done"),)), collector("b", reads=("a.done", "c.done"))],
        "b reads c.done, which no collector writes",
    ),
    ([collector("a", guards=(guard("b.go"),)), collector("b")], "a guards b.go, which no collector offers"),
    ([collector("a", commands=(command("b.go"),))], "the command b.go is not named after a"),
    ([collector("a", commands=(command("ago"),))], "the command ago is not named after a"),
    (
        [collector("a", facts=(fact("x.done"),)), collector("b", facts=(fact("x.done"),))],
        "the fact x.done is offered by both a and b",
    ),
    (
        [collector("a", commands=(command("a.go"), command("a.go")))],
        "the command a.go is offered by both a and a",
    ),
    (
        [collector("a", queries=(query("q"),)), collector("b", queries=(query("q", "/api/y"),))],
        "the query q is offered by both a and b",
    ),
    (
        [collector("a", metrics=(metric("tcps_x"),)), collector("b", metrics=(metric("tcps_x"),))],
        "the metric tcps_x is offered by both a and b",
    ),
    (
        [collector("a", doors=(door("csv"),)), collector("b", doors=(door("csv"),))],
        "the door csv is offered by both a and b",
    ),
    ([collector("a", joins=("b",))], "a joins the document of b, which is not installed"),
    ([collector("a", joins=("a",))], "collectors join each other in a circle: a -> a"),
    (
        [collector("a", joins=("b",)), collector("b", joins=("c",)), collector("c", joins=("b",))],
        "collectors join each other in a circle: ",
    ),
    ([collector("a"), collector("a")], "the collector a is offered by both"),
)


@pytest.mark.parametrize(("manifests", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_a_manifest_that_cannot_work_is_named(manifests: list[Collector], message: str) -> None:
    with pytest.raises(StartupError) as refused:
        Registry(manifests, [])
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_everything_is_found_by_its_name() -> None:
    a = collector("a", facts=(fact("a.done"),), commands=(command("a.go"),), metrics=(metric("tcps_a"),))
    b = collector("b", reads=("a.done",), guards=(guard("a.go"),), queries=(query("b.all"),), doors=(door("csv"),))
    found = Registry([a, b], ["x", "y"])
    assert list(found) == [a, b]
    assert (found.commands["a.go"], found.facts["a.done"], found.metrics["tcps_a"]) == (
        a.commands[0], a.facts[0], a.metrics[0],
    )  # fmt: skip
    assert (found.queries["b.all"], found.doors["csv"], found.guards["a.go"]) == (
        b.queries[0], b.doors[0], [b.guards[0]],
    )  # fmt: skip
    assert found.owner("a.done") is a


def test_a_document_is_read_after_those_it_joins() -> None:
    manifests = [collector("a", joins=("c",)), collector("b", joins=("a", "d")), collector("c"), collector("d")]
    order = [one.name for one in Registry(manifests, []).reading_order]
    assert sorted(order) == ["a", "b", "c", "d"]
    assert order.index("c") < order.index("a") < order.index("b") > order.index("d")


def test_the_collectors_of_the_house_work_together() -> None:
    found = registry.discover()
    assert {"work_orders", "kanban", "andon", "quality", "kaizen", "flow", "overview"} <= set(found.collectors)
    assert len(found.packages) == len(found.collectors)


@pytest.mark.parametrize("name", sorted(registry.discover().collectors))
def test_a_collector_of_the_house_that_is_there_twice_is_named(name: str) -> None:
    found = list(registry.discover())
    with pytest.raises(StartupError, match=name):
        Registry([*found, replace(registry.discover().collectors[name])], [])


# --- entry points ------------------------------------------------------------------------------------------------


def install(folder: Path, name: str, value: str, code: str = "") -> None:
    """A distribution of its own, with one entry point."""
    (folder / "alien.py").write_text(f"from exporter.contract import Collector\n{code}\n")
    about = folder / "alien-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: alien\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "alien", raising=False)
    return tmp_path


def test_a_plugin_from_elsewhere_is_found(elsewhere: Path) -> None:
    install(elsewhere, "alien", "alien:COLLECTOR", 'COLLECTOR = Collector(name="alien", summary="Strange.")')
    found = registry.discover()
    assert found.collectors["alien"].summary == "Strange."
    assert "alien" in found.packages


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("alien:COLLECTOR", "", r"can't be loaded \(alien:COLLECTOR\): AttributeError: .*COLLECTOR.*; mend it or take"),
        ("nowhere:COLLECTOR", "", r"can't be loaded \(nowhere:COLLECTOR\): ModuleNotFoundError: No module named 'now"),
        ("alien:COLLECTOR", "1 / 0", r"can't be loaded \(alien:COLLECTOR\): ZeroDivisionError: division by zero; mend"),
        ("alien:COLLECTOR", "this is no Python", r"can't be loaded \(alien:COLLECTOR\): SyntaxError: "),
        ("alien:COLLECTOR", "raise SystemExit('bye')", r"can't be loaded \(alien:COLLECTOR\): SystemExit: bye; mend"),
        ("alien:COLLECTOR", "COLLECTOR = 5", r"\(alien:COLLECTOR\): expected a Collector of that name"),
        ("alien:COLLECTOR", "COLLECTOR = Collector(name='x', summary='X.')", "expected a Collector of that name"),
        ("alien:COLLECTOR", "COLLECTOR = Collector(nome='alien')", r"TypeError: .* unexpected keyword argument 'nome'"),
    ],
)
def test_a_plugin_that_does_not_load_is_named(elsewhere: Path, value: str, code: str, message: str) -> None:
    install(elsewhere, "alien", value, code)
    with pytest.raises(StartupError, match=rf"^the collector alien .*{message}"):
        registry.discover()


def test_a_plugin_may_not_take_the_place_of_another(elsewhere: Path) -> None:
    install(elsewhere, "kanban", "alien:COLLECTOR", 'COLLECTOR = Collector(name="kanban", summary="Strange.")')
    with pytest.raises(StartupError, match=r"the collector kanban is offered by both"):
        registry.discover()


def test_where_no_plugin_is_installed_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(StartupError, match=r"^no collector is installed; run make setup"):
        registry.discover()


# --- what only shows when it is put together ---------------------------------------------------------------------


class Still(View):
    def __init__(self, *_: Any):
        """It remembers nothing."""

    def handlers(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("manifests", "message"),
    [
        ([collector("a", queries=(query("a.one"), query("a.two")))], "/api/x"),
        (
            [collector("a", commands=(command("a.go", path="/api/go"), command("a.run", path="/api/go")))],
            "/api/go",
        ),
        ([collector("a"), collector("b", joins=("a",), view=Still, document=Document(Nothing))], "b joins .* of a"),
    ],
)
def test_what_would_hide_something_else_is_named(manifests: list[Collector], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        Registry(manifests, [])


def test_a_metric_of_the_host_may_not_be_taken(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="the metric tcps_build_info is offered by both"):
        Plugged(tmp_path, collector("a", metrics=(metric("tcps_build_info"),)))

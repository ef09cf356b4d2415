"""One path for every change: guards in their order, all or nothing, and when it happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.contract import Collector, Guard, LimitReached, LineStopped, Transaction
from exporter.errors import Conflict, Invalid, Refusal, Unavailable
from exporter.ledger import AFTER
from tests.exporter.notes import sql
from tests.exporter.plugged import Plugged
from tests.exporter.plugin import NOTES, kept, told
from tests.line import DAY, MINUTE, NOW, Line

# --- guards ------------------------------------------------------------------------------------------------------

MINDS: list[str] = []
ASKED: list[tuple[str, Any]] = []


def minding(name: str, error: type[Refusal]) -> Collector:
    def check(tx: Transaction, subject: Mapping[str, Any]) -> None:
        ASKED.append((name, subject["text"]))
        if name in MINDS:
            raise error(f"{name} minds")

    return Collector(name=name, summary=name, guards=(Guard("notes.guarded", check, error),))


@pytest.mark.parametrize(
    ("minds", "asked", "refusal"),
    [
        (["a_limit", "b_line", "c_state"], ["c_state"], Conflict),
        (["a_limit", "b_line"], ["c_state", "b_line"], LineStopped),
        (["a_limit", "d_limit"], ["c_state", "b_line", "a_limit"], LimitReached),
        ([], ["c_state", "b_line", "a_limit", "d_limit"], None),
    ],
)
def test_guards_are_asked_by_rank_until_one_minds(
    tmp_path: Path, minds: list[str], asked: list[str], refusal: type[Refusal] | None
) -> None:
    kinds = {"a_limit": LimitReached, "b_line": LineStopped, "c_state": Conflict, "d_limit": LimitReached}
    line = Plugged(tmp_path, NOTES, *(minding(name, kind) for name, kind in kinds.items()))
    MINDS[:], ASKED[:] = minds, []
    if refusal:
        with pytest.raises(refusal, match=f"{asked[-1]} minds"):
            line.call("notes.guarded", text="x")
    else:
        assert line.call("notes.guarded", text="x") == "x"
    assert [name for name, _ in ASKED] == asked
    line.close()


def test_a_start_is_refused_for_the_first_reason_of_the_contract(line: Line) -> None:
    def why() -> str:
        with pytest.raises(Refusal) as refused:
            line.call("work_orders.start", id=order)
        return refused.value.code

    first = line.call("work_orders.create", description="x", bucket="security")["id"]
    order = line.call("work_orders.create", description="x", bucket="cost", sku_id="s", dependencies=[first])["id"]
    line.call("kanban.set_limit", bucket="cost", limit=0)
    andon = line.call("andon.raise", failure_type="test_failure", sku_id="s")["id"]
    assert why() == "blocked_by_dependencies"
    line.call("work_orders.cancel", id=first, reason="x")
    assert why() == "line_stopped"
    words = dict.fromkeys(("root_cause", "fix_applied", "prevention_added", "resolver"), "x")
    line.call("andon.resolve", id=andon, **words)
    assert why() == "wip_limit_reached"
    line.call("kanban.set_limit", bucket="cost", limit=1)
    assert line.call("work_orders.start", id=order)["status"] == "in_progress"
    assert why() == "invalid_state"


# --- all or nothing ----------------------------------------------------------------------------------------------


def test_commands_given_together_all_land_in_order(notes: Plugged) -> None:
    calls: list[tuple[str, Mapping[str, Any]]] = [("notes.write", {"text": text}) for text in "abc"]
    results = notes.service.call_all(calls, by="me")
    assert [result["text"] for result in results] == told(notes) == kept(notes) == ["a", "b", "c"]


@pytest.mark.parametrize("last", [{"text": "c", "refusal": "conflict"}, {"text": "a"}, {"text": 5}])
def test_of_commands_given_together_one_refused_undoes_all(notes: Plugged, last: dict[str, Any]) -> None:
    head = notes.service.ledger.head
    with pytest.raises(Exception, match=r"busy|UNIQUE|expected"):
        notes.service.call_all([("notes.write", {"text": "a"}), ("notes.write", last)], by="me")
    assert (told(notes), kept(notes), notes.service.ledger.head) == ([], [], head)


def test_a_command_calls_others_in_its_transaction(notes: Plugged) -> None:
    nested, last = notes.call("notes.forward", text="second")
    assert (nested, last) == ({"text": "second", "at": NOW, "by": "tester"}, "second, last")
    with pytest.raises(Conflict):
        notes.call("notes.forward", text="x", refusal="conflict")
    assert told(notes) == ["first", "second", "second, last"]
    assert kept(notes) == ["second", "second, last"]


def test_a_nested_command_that_is_refused_leaves_nothing_though_its_caller_goes_on(notes: Plugged) -> None:
    assert notes.call("notes.tolerate", text="x", refusal="conflict") == "done"
    assert (told(notes), kept(notes)) == (["refused: busy"], [])


def test_a_nested_command_for_which_the_disk_has_no_room_says_so(notes: Plugged) -> None:
    """SQLite may have ended the whole transaction, savepoints and all."""
    notes.service.store.write(sql("PRAGMA max_page_count = 1"))  # as many as there are
    with pytest.raises(Unavailable, match="free some space"):
        notes.call("notes.forward", text="x" * 5_000_000)
    notes.service.store.write(sql("PRAGMA max_page_count = 1000000"))
    notes.call("notes.forward", text="a")
    assert told(notes) == ["first", "a", "a, last"]


def test_a_fact_says_who_and_when(notes: Plugged) -> None:
    notes.now += 7
    notes.call("notes.write", text="a")
    with notes.service.read() as rows:
        row = rows.all(AFTER, after=notes.service.ledger.head - 1, size=1)[0]
    assert (row.kind, row.by, row.occurred_at, row.recorded_at) == ("notes.written", "tester", NOW + 7, NOW + 7)


@pytest.mark.parametrize(
    ("occurred_at", "taken"),
    [
        (None, NOW), (NOW - DAY, NOW - DAY), (0, 0), (NOW + 5 * MINUTE, NOW + 5 * MINUTE),
        ("2026-11-24T06:01:00Z", NOW + MINUTE), ("2026-11-24T06:30:00+01:00", NOW - 30 * MINUTE),
    ],
)  # fmt: skip
def test_a_fact_belongs_to_the_moment_it_is_said_to_have_happened(line: Line, occurred_at: Any, taken: int) -> None:
    assert line.call("work_orders.create", description="x", occurred_at=occurred_at)["created_at"] == taken


@pytest.mark.parametrize(
    "occurred_at",
    [NOW + 5 * MINUTE + 1, -1, 1 << 47, "", "yesterday", "2026-11-24T06:00:00", "1795500000000", 1.5, True],
)
def test_a_time_that_has_not_come_or_makes_no_sense_is_refused(line: Line, occurred_at: Any) -> None:
    with pytest.raises(Invalid, match=r"^occurred_at: expected") as refused:
        line.call("work_orders.create", description="x", occurred_at=occurred_at)
    assert refused.value.field == "occurred_at"


def test_a_work_order_may_be_named_twice_but_only_by_its_name(line: Line) -> None:
    line.call("work_orders.create", description="x")
    order = line.call("work_orders.create", description="x", dependencies=["WO-1", "WO-1"])
    assert order["dependencies"] == ["WO-1"]
    with pytest.raises(Invalid, match=r"^dependencies: there is no work order 'WO-01'"):
        line.call("work_orders.create", description="x", dependencies=["WO-1", "WO-01"])

"""One path for every change: keys that repeat an answer, guards in their order, all or nothing."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gevent
import msgspec
import pytest

from exporter.commands import Answer
from exporter.contract import Collector, Command, FactKind, Guard, LimitReached, LineStopped, Struct, Transaction
from exporter.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from exporter.ledger import AFTER
from tests.exporter.notes import sql
from tests.exporter.plugged import Plugged
from tests.line import DAY, HOUR, MINUTE, NOW, Line

REFUSALS: dict[str, Refusal] = {
    "conflict": Conflict("busy: Straße", code="busy", field="text", details={"n": 1, "names": ["a", "b"], "at": None}),
    "limit": LimitReached("full", code="full"),
    "stopped": LineStopped("stopped by AND-1", details={"andons": ["AND-1"]}),
    "invalid": Invalid("text: expected better", field="text"),
    "missing": NotFound("there is no such thing", field="id"),
    "later": Unavailable("later"),
}


class Write(Struct):
    text: str
    refusal: str | None = None


class Written(msgspec.Struct):
    text: str


def write(tx: Transaction, body: Write) -> dict[str, Any]:
    tx.emit("notes.written", Written(body.text), tx.now)
    sql("INSERT INTO note VALUES (?)", body.text)(tx)
    if body.refusal:
        raise REFUSALS[body.refusal]
    return {"text": body.text, "at": tx.now, "by": tx.by}


def guarded(tx: Transaction, body: Write) -> str:
    tx.guard("notes.guarded", {"text": body.text})
    return body.text


def forward(tx: Transaction, body: Write) -> list[Any]:
    tx.emit("notes.written", Written("first"), tx.now)
    nested = tx.call("notes.write", Write(text=body.text))
    return [nested, tx.call("notes.write", {"text": f"{body.text}, last", "refusal": body.refusal})["text"]]


def tolerate(tx: Transaction, body: Write) -> str:
    """Goes on although what it called was refused."""
    try:
        tx.call("notes.write", body)
    except Refusal as refusal:
        tx.emit("notes.written", Written(f"refused: {refusal.code}"), tx.now)
    return "done"


NOTES = Collector(
    name="notes",
    summary="Notes.",
    facts=(FactKind("notes.written", Written, "A note was written.", "notes", "note"),),
    commands=(
        Command(
            "notes.write", write, Write, "Writes.", status=201, location=lambda note: f"/notes/{note['text']}"
        ),
        Command("notes.guarded", guarded, Write, "Writes, if nobody minds."),
        Command("notes.forward", forward, Write, "Writes several."),
        Command("notes.tolerate", tolerate, Write, "Writes, or says why not."),
    ),
)  # fmt: skip


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Plugged]:
    line = Plugged(tmp_path, NOTES)
    line.service.store.write(sql("CREATE TABLE note (text TEXT UNIQUE)"))
    yield line
    line.close()


def told(line: Line) -> list[str]:
    """The texts of the notes, as the ledger has them."""
    with line.service.read() as rows:
        facts = [line.service.ledger.decode(row) for row in rows.all(AFTER, after=0, size=10_000)]
    return [fact.data.text for fact in facts if fact.kind == "notes.written"]


def kept(line: Line) -> list[str]:
    """The texts of the notes, as the tables have them."""
    with line.service.read() as rows:
        return [text for (text,) in sql("SELECT text FROM note ORDER BY rowid")(rows)]


def answer(
    line: Line, body: Mapping[str, Any], key: str | None = "k", name: str = "notes.write", by: str = "me"
) -> Any:
    """The answer, or what a client would see of its refusal."""
    try:
        return line.service.commands.answer(name, body, by, key)
    except Refusal as refusal:
        return refusal.status, msgspec.json.encode(refusal.document())


# --- keys --------------------------------------------------------------------------------------------------------


def test_a_key_repeats_the_answer_to_the_byte(notes: Plugged) -> None:
    first = answer(notes, {"text": "Grüße \u2028 'x'"})
    notes.now += HOUR
    again = answer(notes, {"text": "Grüße \u2028 'x'"})
    assert (first.status, first.location, first.repeated) == (201, "/notes/Grüße \u2028 'x'", False)
    assert again == Answer(201, first.body, first.location, repeated=True)
    assert told(notes) == kept(notes) == ["Grüße \u2028 'x'"]


def test_a_key_holds_over_a_restart(notes: Plugged) -> None:
    first = answer(notes, {"text": "a"})
    notes.restart()
    assert answer(notes, {"text": "a"}).body == first.body
    assert told(notes) == ["a"]


@pytest.mark.parametrize("refusal", ["conflict", "limit", "stopped"])
def test_a_key_repeats_what_the_state_refused(notes: Plugged, monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    body = {"text": "a", "refusal": refusal}
    first = answer(notes, body)
    assert first == (REFUSALS[refusal].status, msgspec.json.encode(REFUSALS[refusal].document()))
    monkeypatch.setitem(REFUSALS, refusal, Invalid("it was carried out again"))
    assert answer(notes, body) == first
    assert told(notes) == kept(notes) == []


@pytest.mark.parametrize("refusal", ["invalid", "missing", "later"])
def test_a_key_does_not_hold_what_was_never_looked_at(
    notes: Plugged, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    body = {"text": "a", "refusal": refusal}
    assert answer(notes, body)[0] == REFUSALS[refusal].status
    assert answer(notes, {"text": "a"}).repeated is False
    assert told(notes) == kept(notes) == ["a"]


@pytest.mark.parametrize("body", [{"text": 5}, {}, {"text": "a", "more": 1}])
def test_a_key_is_free_after_a_body_that_does_not_fit(notes: Plugged, body: dict[str, Any]) -> None:
    assert answer(notes, body)[0] == 422
    assert answer(notes, {"text": "a"}).status == 201


@pytest.mark.parametrize(
    ("name", "body"),
    [("notes.write", {"text": "b"}), ("notes.write", {"text": "a", "refusal": None}), ("notes.guarded", {"text": "a"})],
)
def test_a_key_that_came_with_another_request_is_refused(notes: Plugged, name: str, body: dict[str, Any]) -> None:
    first = answer(notes, {"text": "a"})
    status, document = answer(notes, body, name=name)
    error = msgspec.json.decode(document)["error"]
    assert (status, error["code"], error["field"]) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert answer(notes, {"text": "a"}).body == first.body
    assert told(notes) == ["a"]


def test_the_order_of_fields_does_not_make_another_request(notes: Plugged) -> None:
    answer(notes, {"text": "a", "refusal": None})
    assert answer(notes, {"refusal": None, "text": "a"}).repeated is True


def test_each_caller_has_keys_of_its_own(notes: Plugged) -> None:
    bodies = [msgspec.json.decode(answer(notes, {"text": by}, by=by).body)["by"] for by in ("me", "you")]
    assert bodies == ["me", "you"]
    assert [answer(notes, {"text": str(no)}, key=None).repeated for no in range(2)] == [False, False]


def test_a_key_is_kept_for_a_day(notes: Plugged) -> None:
    first = answer(notes, {"text": "a", "refusal": "conflict"})
    notes.now += DAY
    assert answer(notes, {"text": "a", "refusal": "conflict"}) == first
    notes.now += 1
    assert answer(notes, {"text": "a"}).repeated is False
    with notes.service.read() as rows:
        assert sql("SELECT count(*), min(at) FROM idempotent_answer")(rows) == [(1, notes.now)]


def test_of_the_same_request_at_once_one_is_carried_out(notes: Plugged) -> None:
    asked = [gevent.spawn(answer, notes, {"text": "a"}) for _ in range(30)]
    answers = [one.get() for one in asked]
    assert len({one.body for one in answers}) == 1
    assert [one.repeated for one in answers].count(False) == 1
    assert told(notes) == ["a"]


def test_a_refusal_counts_once_however_often_it_is_repeated(line: Line) -> None:
    line.call("kanban.set_limit", bucket="cost", limit=0)
    order = line.call("work_orders.create", description="x", bucket="cost")["id"]
    seen = {answer(line, {"id": order}, name="work_orders.start") for _ in range(3)}
    line.call("kanban.set_limit", bucket="cost", limit=1)
    seen.add(answer(line, {"id": order}, name="work_orders.start"))
    assert len(seen) == 1
    assert line.metrics()['tcps_kanban_refusals_total{bucket="cost"}'] == 1
    assert answer(line, {"id": order}, name="work_orders.start", key="k2").status == 200


# --- keys of doors -----------------------------------------------------------------------------------------------


def door(line: Line, done: list[int]) -> Callable[[], bytes]:
    """Takes several transactions."""

    def take() -> bytes:
        done.append(no := len(done) + 1)
        for text in "ab":
            line.call("notes.write", text=f"{text}{no}")
        return b'{"accepted":2}'

    return take


def through(line: Line, done: list[int], request: str = "POST /door") -> bytes:
    return line.service.commands.answer_once(request, door(line, done), "me", "k")


def test_a_key_repeats_the_answer_of_a_door(notes: Plugged) -> None:
    done: list[int] = []
    assert {through(notes, done) for _ in range(3)} == {b'{"accepted":2}'}
    assert (len(done), told(notes)) == (1, ["a1", "b1"])
    with pytest.raises(Invalid, match="came with another request"):
        through(notes, done, "POST /other")
    notes.now += DAY + 1
    through(notes, done)
    assert len(done) == 2


def test_of_the_same_file_sent_at_once_one_is_taken_in(notes: Plugged) -> None:
    done: list[int] = []
    sent = [gevent.spawn(through, notes, done) for _ in range(5)]
    gevent.joinall(sent)
    assert [type(one.exception) for one in sent if not one.successful()] == []
    assert (len(done), {one.value for one in sent}) == (1, {b'{"accepted":2}'})


def test_a_key_is_free_after_a_door_that_failed(notes: Plugged) -> None:
    def fail() -> bytes:
        raise Conflict("not now")

    with pytest.raises(Conflict):
        notes.service.commands.answer_once("POST /door", fail, "me", "k")
    assert through(notes, []) == b'{"accepted":2}'


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

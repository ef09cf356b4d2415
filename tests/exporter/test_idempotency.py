"""The same request with the same key: carried out once, answered as often as it is asked."""

from collections.abc import Callable, Mapping
from typing import Any

import gevent
import msgspec
import pytest

from exporter.commands import Answer
from exporter.errors import Conflict, Invalid, Refusal
from tests.exporter.notes import sql
from tests.exporter.plugged import Plugged
from tests.exporter.plugin import REFUSALS, kept, told
from tests.line import DAY, HOUR, Line


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


def test_of_the_same_file_sent_again_while_it_is_taken_in_one_is_taken_in(notes: Plugged) -> None:
    """The first fails, so the second tries; the third comes meanwhile."""
    done: list[str] = []

    def send(name: str, fails: bool = False) -> bytes:
        def take() -> bytes:
            gevent.sleep(0.05)
            if fails:
                raise Conflict("not now")
            done.append(name)
            return f'"{name}"'.encode()

        return notes.service.commands.answer_once("POST /door", take, "me", "k")

    first, second = gevent.spawn(send, "first", fails=True), gevent.spawn(send, "second")
    gevent.sleep(0.07)
    third = gevent.spawn(send, "third")
    gevent.joinall([first, second, third])
    assert isinstance(first.exception, Conflict)
    assert (second.value, third.value, done) == (b'"second"', b'"second"', ["second"])


def test_a_key_is_free_after_a_door_that_failed(notes: Plugged) -> None:
    def fail() -> bytes:
        raise Conflict("not now")

    with pytest.raises(Conflict):
        notes.service.commands.answer_once("POST /door", fail, "me", "k")
    assert through(notes, []) == b'{"accepted":2}'

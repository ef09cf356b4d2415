"""The cord: what it stops and for how long, who wins a race to answer it, and what its documents say."""

import re

import gevent
import pytest

from collectors.andon.commands import watch_unanswered
from collectors.andon.rules import severity_of
from exporter.contract import Refusal
from tests.collectors.asking import ask, configure, cord, facts, head, kinds, order, refusal, refused, resolve, started
from tests.line import DAY, HOUR, MINUTE, NOW, Line

WORDS = {"root_cause": "a race", "fix_applied": "a lock", "prevention_added": "a test", "resolver": "bo"}
SEVERITIES = {
    "shacl_violation": "critical", "compilation_failure": "critical", "non_determinism": "critical",
    "security_violation": "critical", "test_failure": "warning", "missing_receipt": "warning",
    "quality_violation": "warning", "flaky_network": "info", "critical": "info",
}  # fmt: skip


def acknowledge(line: Line, andon: str, **body: object) -> dict[str, object]:
    told: dict[str, object] = line.call("andon.acknowledge", id=andon, **body)
    return told


# --- pulling the cord --------------------------------------------------------------------------------------------


def test_a_raised_andon_is_shown_whole(line: Line) -> None:
    told = line.call(
        "andon.raise", failure_type="test_failure", sku_id="auth@1", stage="testing", details={"case": "login"},
        occurred_at=NOW - MINUTE,
    )  # fmt: skip
    assert told == {
        "id": "AND-1", "failure_type": "test_failure", "sku_id": "auth@1", "stage": "test_execution",
        "severity": "warning", "status": "open", "details": {"case": "login"}, "occurrences": 1,
        "last_seen_at": NOW - MINUTE, "timestamp": NOW - MINUTE, "acknowledged_at": None, "acknowledged_by": None,
        "note": None, "escalated": False, "resolved_at": None, "resolution": None,
        "history": [{"status": "open", "timestamp": NOW - MINUTE, "by": "tester", "note": None}],
    }  # fmt: skip
    assert ask(line, "andon.one", id="AND-1") == told


@pytest.mark.parametrize(("failure_type", "severity"), SEVERITIES.items())
def test_a_type_of_failure_has_a_severity(line: Line, failure_type: str, severity: str) -> None:
    assert severity_of(line.settings, failure_type) == severity


def test_severity_comes_from_the_request_or_the_configuration_or_what_is_known(line: Line) -> None:
    configure(line, '[failure_types]\nflaky_network = "critical"\ntest_failure = "info"\n')
    line.restart()
    for failure_type, given, expected in (
        ("flaky_network", None, "critical"), ("test_failure", None, "info"), ("quality_violation", None, "warning"),
        ("test_failure", "critical", "critical"), ("other", None, "info"),
    ):  # fmt: skip
        told = line.call("andon.raise", failure_type=failure_type, sku_id="auth@1", severity=given)
        assert told["severity"] == expected


@pytest.mark.parametrize(("said", "stored"), [("validation", "shacl_validation"), ("execution", "smoke_test")])
def test_the_canonical_name_of_a_stage_is_stored(line: Line, said: str, stored: str) -> None:
    assert line.call("andon.raise", failure_type="x", sku_id="s", stage=said)["stage"] == stored


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sku_id": "s"}, "failure_type"), ({"failure_type": "x"}, "sku_id"),
        ({"failure_type": "", "sku_id": "s"}, "failure_type"), ({"failure_type": "Big", "sku_id": "s"}, "failure_type"),
        ({"failure_type": "a-b", "sku_id": "s"}, "failure_type"), ({"failure_type": "x", "sku_id": ""}, "sku_id"),
        ({"failure_type": "x", "sku_id": "s", "stage": "packing"}, "stage"),
        ({"failure_type": "x", "sku_id": "s", "severity": "fatal"}, "severity"),
        ({"failure_type": "x", "sku_id": "s", "details": "text"}, "details"),
        ({"failure_type": "x", "sku_id": "s", "colour": "red"}, "colour"),
        ({"failure_type": "x", "sku_id": "s", "occurred_at": NOW + 5 * MINUTE + 1}, "occurred_at"),
        ({"failure_type": "x", "sku_id": "s", "occurred_at": "now"}, "occurred_at"),
    ],
)  # fmt: skip
def test_an_andon_that_makes_no_sense_is_refused_by_its_field(line: Line, body, field: str) -> None:
    before = head(line)
    found = refusal(line, "andon.raise", **body)
    assert (found.status, found.code, found.field, head(line)) == (422, "invalid", field, before)


def test_a_type_of_failure_has_no_newline_at_its_end(line: Line) -> None:
    """Contract, section 3: failure_type is [a-z0-9_]+."""
    assert refused(line, "andon.raise", failure_type="test_failure\n", sku_id="s") == "422 invalid"


def test_what_comes_five_minutes_early_is_taken(line: Line) -> None:
    for name, body in (("raise", {"failure_type": "x", "sku_id": "s"}), ("acknowledge", {"id": "AND-1"})):
        line.call(f"andon.{name}", **body, occurred_at=line.now + 5 * MINUTE)
        line.now += 1
        late = line.now + 5 * MINUTE + 1
        found = refusal(line, "andon.resolve", id="AND-1", **WORDS, occurred_at=late)
        assert (found.status, found.field) == (422, "occurred_at")
    resolve(line, "AND-1", occurred_at=line.now + 5 * MINUTE)


# --- answering and resolving -------------------------------------------------------------------------------------


def test_an_andon_is_answered_and_resolved_once(line: Line) -> None:
    one = cord(line, "auth@1")
    line.now += 10 * MINUTE
    told = acknowledge(line, one, by="ana", note="on my way")
    shown = {name: told[name] for name in ("status", "acknowledged_at", "acknowledged_by", "note", "resolved_at")}
    assert shown == {
        "status": "acknowledged", "acknowledged_at": NOW + 10 * MINUTE, "acknowledged_by": "ana", "note": "on my way",
        "resolved_at": None,
    }  # fmt: skip
    assert refused(line, "andon.acknowledge", id=one) == "409 already_acknowledged"
    line.now += HOUR
    told = resolve(line, one, whys=["a", "b"])
    assert (told["status"], told["resolved_at"]) == ("resolved", line.now)
    assert told["resolution"] == WORDS | {"kind": "fixed", "whys": ["a", "b"]}
    assert [moment["status"] for moment in told["history"]] == ["open", "acknowledged", "resolved"]
    assert [moment["by"] for moment in told["history"]] == ["tester", "ana", "bo"]
    for command in ("andon.acknowledge", "andon.resolve"):
        assert refused(line, command, id=one, **(WORDS if "resolve" in command else {})) == "409 already_resolved"
    assert kinds(line)[-3:] == ["andon.raised", "andon.acknowledged", "andon.resolved"]


def test_an_open_andon_may_be_resolved_without_an_answer(line: Line) -> None:
    one = cord(line, "auth@1")
    assert resolve(line, one, kind="false_alarm")["status"] == "resolved"
    assert refused(line, "andon.acknowledge", id=one) == "409 already_resolved"
    document = line.document("andon")
    assert (document["mtta_seconds"], document["mttr_seconds"]) == (None, 0.0)


def test_who_answers_is_known_where_nobody_is_named(line: Line) -> None:
    assert acknowledge(line, cord(line, "auth@1"))["acknowledged_by"] == "tester"


@pytest.mark.parametrize("word", [*WORDS])
@pytest.mark.parametrize("said", ["", "   ", None, ...])
def test_a_resolution_leaves_nothing_empty(line: Line, word: str, said) -> None:
    one = cord(line, "auth@1")
    body = WORDS | {word: said}
    if said is ...:
        del body[word]
    before = head(line)
    found = refusal(line, "andon.resolve", id=one, **body)
    assert (found.status, found.field, head(line)) == (422, word, before)


@pytest.mark.parametrize("body", [{"kind": "ignored"}, {"whys": []}, {"whys": ["x"] * 6}, {"whys": [""]}, {"x": 1}])
def test_a_resolution_that_makes_no_sense_is_refused(line: Line, body) -> None:
    one = cord(line, "auth@1")
    assert refused(line, "andon.resolve", id=one, **WORDS, **body) == "422 invalid"


@pytest.mark.parametrize("name", ["AND-2", "WO-1", "and-1", "AND-", ""])
def test_what_is_no_andon_is_not_found(line: Line, name: str) -> None:
    cord(line, "auth@1")
    assert refused(line, "andon.acknowledge", id=name) == "404 not_found"
    assert refused(line, "andon.resolve", id=name, **WORDS) == "404 not_found"


def test_no_answer_comes_before_the_call(line: Line) -> None:
    one = cord(line, "auth@1")
    assert refused(line, "andon.acknowledge", id=one, occurred_at=NOW - 1) == "422 invalid"
    line.now += HOUR
    acknowledge(line, one, occurred_at=NOW + MINUTE)
    assert refused(line, "andon.resolve", id=one, **WORDS, occurred_at=NOW + MINUTE - 1) == "422 invalid"
    assert resolve(line, one, occurred_at=NOW + MINUTE)["resolved_at"] == NOW + MINUTE


@pytest.mark.parametrize("command", ["acknowledge", "resolve"])
def test_of_several_at_once_exactly_one_wins(line: Line, command: str) -> None:
    one = cord(line, "auth@1")

    def call(who: int) -> str:
        body = {"by": f"p{who}"} if command == "acknowledge" else WORDS | {"resolver": f"p{who}"}
        try:
            line.call(f"andon.{command}", id=one, **body)
        except Refusal as found:
            return found.code
        return "won"

    racing = [gevent.spawn(call, who) for who in range(8)]
    gevent.joinall(racing)
    lost = {"acknowledge": "already_acknowledged", "resolve": "already_resolved"}[command]
    assert sorted(race.get() for race in racing) == sorted(["won", *[lost] * 7])
    assert len([kind for kind in kinds(line) if kind.startswith("andon.")]) == 2


# --- escalation --------------------------------------------------------------------------------------------------


def test_it_escalates_once_after_ack_timeout(line: Line) -> None:
    one = cord(line, "auth@1")
    look = watch_unanswered(line.service)
    line.now += 15 * MINUTE - 1
    look()
    assert not ask(line, "andon.one", id=one)["escalated"]
    assert refused(line, "andon.escalate", id=one) == "409 not_due"
    for _ in range(3):
        line.now += 1
        look()
    assert refused(line, "andon.escalate", id=one) == "409 not_due"
    told = ask(line, "andon.one", id=one)
    assert (told["escalated"], told["status"]) == (True, "open")
    escalated = [fact for fact in facts(line) if fact.kind == "andon.escalated"]
    assert [(fact.occurred_at, fact.by) for fact in escalated] == [(NOW + 15 * MINUTE, "clock")]
    assert told["history"][-1]["status"] == "escalated"
    assert acknowledge(line, one)["escalated"] is True


def test_many_at_once_escalate_all_in_the_end(line: Line) -> None:
    for number in range(105):
        cord(line, f"s{number}")
    line.now += 15 * MINUTE
    look = watch_unanswered(line.service)
    look()
    look()
    assert kinds(line).count("andon.escalated") == 105


def test_what_was_answered_in_time_never_escalates(line: Line) -> None:
    one, two = cord(line, "auth@1"), cord(line, "search@2")
    acknowledge(line, one)
    resolve(line, two)
    line.now += DAY
    watch_unanswered(line.service)()
    assert "andon.escalated" not in kinds(line)


def test_the_time_to_answer_is_a_setting(tmp_path) -> None:
    line = Line(tmp_path, ack_timeout="1m")
    one = cord(line, "auth@1", occurred_at=NOW - MINUTE)
    watch_unanswered(line.service)()
    escalated = ask(line, "andon.one", id=one)["escalated"]
    line.close()
    assert escalated


# --- what it stops -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [None, "shacl_validation", "smoke_test"])
@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_an_andon_at_any_stage_stops_its_sku_alone(line: Line, stage, severity: str) -> None:
    one = cord(line, "auth@1", stage=stage, severity=severity)
    mine, others, none = order(line, sku_id="auth@1"), order(line, sku_id="auth@10"), order(line)
    found = refusal(line, "work_orders.start", id=mine)
    assert (found.status, found.code) == (423, "line_stopped")
    assert found.details == {"sku_id": "auth@1", "andons": [one]}
    for free in (others, none):
        assert line.call("work_orders.start", id=free)["status"] == "in_progress"


def test_the_last_of_several_andons_frees_the_sku(line: Line) -> None:
    one, two = cord(line, "auth@1"), cord(line, "auth@1")
    mine = order(line, sku_id="auth@1")
    resolve(line, one)
    assert refusal(line, "work_orders.start", id=mine).details["andons"] == [two]
    resolve(line, two)
    assert line.call("work_orders.start", id=mine)["status"] == "in_progress"


def test_only_the_severities_that_stop_do_stop(tmp_path) -> None:
    line = Line(tmp_path, stopping_severities=["critical"])
    cord(line, "auth@1", severity="warning")
    cord(line, "search@2", severity="critical")
    started(line, sku_id="auth@1")
    assert refused(line, "work_orders.start", id=order(line, sku_id="search@2")) == "423 line_stopped"
    shown = line.metrics()
    assert (shown["tcps_skus_stopped"], shown["tcps_andon_events_open"]) == (1, 2)
    line.close()


def test_a_message_names_what_stops(line: Line) -> None:
    cord(line, "auth@1", failure_type="security_violation")
    text = refusal(line, "work_orders.start", id=order(line, sku_id="auth@1")).message
    assert re.search(r"auth@1.*AND-1 \(security_violation\)", text)

"""What andons come to: counts of open ones, times to answer and resolve, the ten newest, and their list."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collectors.asking import ask, cord, order, refused, resolve
from tests.line import DAY, HOUR, MINUTE, NOW, Line

MONTH = 30 * DAY


def document(line: Line, *names: str) -> Any:
    found = line.document("andon")
    return tuple(found[name] for name in names)


def listed(line: Line, **params: Any) -> list[str]:
    return [one["id"] for one in ask(line, "andon.find", **params)["andons"]]


def test_without_an_andon_counts_are_zero_and_means_unknown(line: Line) -> None:
    found = line.document("andon")
    assert found["window_seconds"] == 30 * 86_400
    assert {name: found[name] for name in list(found)[4:]} == {
        "total_open": 0, "by_severity": {"critical": 0, "warning": 0, "info": 0}, "unacknowledged": 0,
        "mtta_seconds": None, "mttr_seconds": None, "recent_events": [],
    }  # fmt: skip
    shown = line.metrics()
    for severity in ("critical", "warning", "info"):
        for family in ("by_severity", "total"):
            assert shown[f'tcps_andon_events_{family}{{severity="{severity}"}}'] == 0
        assert shown[f'tcps_andon_unacknowledged{{severity="{severity}"}}'] == 0
    assert [name for name in shown if "oldest_open" in name] == []
    assert shown["tcps_andon_time_to_resolve_seconds_count"] == 0


def test_open_means_not_resolved(line: Line) -> None:
    answered = cord(line, "auth@1", severity="critical")
    cord(line, "auth@1", severity="warning")
    cord(line, "search@2", severity="warning")
    done = cord(line, "gone@3", severity="info")
    line.call("andon.acknowledge", id=answered)
    resolve(line, done)
    counts = document(line, "total_open", "by_severity", "unacknowledged")
    assert counts == (3, {"critical": 1, "warning": 2, "info": 0}, 2)
    shown = line.metrics()
    assert (shown["tcps_andon_events_open"], shown["tcps_skus_stopped"]) == (3, 2)
    assert shown['tcps_andon_events_total{severity="info"}'] == 1
    assert shown['tcps_andon_unacknowledged{severity="critical"}'] == 0
    assert line.document("overview")["open_andons"] == 3
    assert listed(line, status="open") == ["AND-3", "AND-2"], "the literal status"


def test_the_oldest_open_andon_is_known_by_severity(line: Line) -> None:
    oldest = cord(line, "a", severity="warning", occurred_at=NOW - 9 * HOUR)
    cord(line, "b", severity="warning", occurred_at=NOW - 2 * HOUR)
    cord(line, "c", severity="info", occurred_at=NOW - 5 * HOUR)
    family = "tcps_andon_oldest_open_timestamp_seconds"
    assert line.metrics()[f'{family}{{severity="warning"}}'] == (NOW - 9 * HOUR) / 1000
    resolve(line, oldest)
    assert line.metrics()[f'{family}{{severity="warning"}}'] == (NOW - 2 * HOUR) / 1000
    assert line.metrics()[f'{family}{{severity="info"}}'] == (NOW - 5 * HOUR) / 1000
    assert f'{family}{{severity="critical"}}' not in line.metrics()


def test_means_are_of_what_ended_in_the_window_to_the_millisecond(line: Line) -> None:
    for sku, answered, resolved in (("a", 10, 60), ("b", 20, 120)):
        one = cord(line, sku, occurred_at=NOW - 3 * HOUR)
        line.call("andon.acknowledge", id=one, occurred_at=NOW - 3 * HOUR + answered * MINUTE)
        resolve(line, one, occurred_at=NOW - 3 * HOUR + resolved * MINUTE)
    cord(line, "c", occurred_at=NOW - 2 * DAY)
    assert document(line, "mtta_seconds", "mttr_seconds") == (15 * 60.0, 90 * 60.0)
    line.now = NOW - 3 * HOUR + 10 * MINUTE + MONTH - 1
    assert document(line, "mtta_seconds") == (15 * 60.0,)
    line.now += 1
    assert document(line, "mtta_seconds", "mttr_seconds") == (20 * 60.0, 90 * 60.0)
    line.now = NOW - HOUR + MONTH - 1
    assert document(line, "mtta_seconds", "mttr_seconds") == (None, 120 * 60.0)
    line.now += 1
    assert document(line, "mttr_seconds") == (None,)
    shown = line.metrics()
    assert shown["tcps_andon_time_to_acknowledge_seconds_count"] == 2, "totals are of all time"
    assert shown["tcps_andon_time_to_resolve_seconds_sum"] == 180 * 60


def test_bounds_of_the_histograms_are_inclusive(line: Line) -> None:
    for waited in (MINUTE, MINUTE + 1, HOUR, MONTH, MONTH + 1):
        line.call("andon.acknowledge", id=cord(line, "a", occurred_at=NOW - waited))
    shown = line.metrics()
    family = "tcps_andon_time_to_acknowledge_seconds"
    counts = {le: shown[f'{family}_bucket{{le="{le}"}}'] for le in ("60.0", "120.0", "3600.0", "2592000.0", "+Inf")}
    assert counts == {"60.0": 1, "120.0": 2, "3600.0": 3, "2592000.0": 4, "+Inf": 5}
    assert shown[f"{family}_sum"] == (2 * MINUTE + 1 + HOUR + 2 * MONTH + 1) / 1000


def test_the_ten_newest_are_shown_by_event_time_whatever_their_status(line: Line) -> None:
    several = [cord(line, f"s{number}", occurred_at=NOW - number * HOUR) for number in range(12)]
    resolve(line, several[0], occurred_at=NOW + 1)
    line.call("andon.acknowledge", id=several[1])
    line.now += HOUR
    (events,) = document(line, "recent_events")
    assert [one["id"] for one in events] == several[:10]
    assert [one["status"] for one in events[:3]] == ["resolved", "acknowledged", "open"]
    assert [one["elapsed_seconds"] for one in events[:3]] == [0.001, 7200.0, 10800.0]
    assert events[2] == {
        "id": "AND-3", "failure_type": "test_failure", "sku_id": "s2", "stage": None, "severity": "warning",
        "status": "open", "elapsed_seconds": 10800.0, "timestamp": NOW - 2 * HOUR,
    }  # fmt: skip


def test_the_ten_newest_of_one_moment_are_those_the_list_begins_with(line: Line) -> None:
    """Contract, section 3: recent_events are the "10 newest"; section 2: lists are newest first."""
    for number in range(12):
        cord(line, f"s{number}")
    (events,) = document(line, "recent_events")
    assert [one["id"] for one in events] == listed(line, limit=10)


def test_open_andons_outlive_the_ten_newest_and_a_restart(line: Line) -> None:
    several = [cord(line, f"s{number}", occurred_at=NOW - number) for number in range(15)]
    line.metrics()
    line.restart()
    assert document(line, "total_open") == (15,)
    for one in several:
        resolve(line, one)
    assert document(line, "total_open", "unacknowledged") == (0, 0)
    (events,) = document(line, "recent_events")
    assert {one["status"] for one in events} == {"resolved"}


# --- the list ----------------------------------------------------------------------------------------------------


def test_the_list_is_newest_first_and_filtered(line: Line) -> None:
    one = cord(line, "a", severity="critical", occurred_at=NOW - HOUR)
    two, three = cord(line, "b"), cord(line, "a", occurred_at=NOW - DAY)
    line.call("andon.acknowledge", id=two)
    resolve(line, three)
    assert listed(line) == [two, one, three]
    assert listed(line, sku_id="a") == [one, three]
    assert listed(line, severity="warning") == [two, three]
    assert [listed(line, status=status) for status in ("open", "acknowledged", "resolved")] == [[one], [two], [three]]
    assert listed(line, sku_id="a", status="resolved", severity="warning") == [three]
    assert listed(line, sku_id="nobody") == []


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_cursor_stays_put_when_others_are_raised(tmp_path_factory, data) -> None:
    line = Line(tmp_path_factory.mktemp("pages"))
    ages = st.integers(0, 4)
    for age in data.draw(st.lists(ages, min_size=1, max_size=12)):
        cord(line, "s", occurred_at=NOW - age * HOUR)
    there = listed(line, limit=100)
    limit = data.draw(st.integers(1, 5))
    seen, cursor = [], None
    while True:
        page = ask(line, "andon.find", limit=limit, cursor=cursor)
        seen += [one["id"] for one in page["andons"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        for age in data.draw(st.lists(ages, max_size=3)):
            cord(line, "s", occurred_at=NOW - age * HOUR)
    line.close()
    assert [one for one in seen if one in there] == there
    assert len(seen) == len(set(seen))


def test_a_stopped_sku_is_free_again_on_metrics_too(line: Line) -> None:
    one = cord(line, "auth@1")
    mine = order(line, sku_id="auth@1")
    assert line.metrics()["tcps_skus_stopped"] == 1
    assert refused(line, "work_orders.start", id=mine) == "423 line_stopped"
    resolve(line, one)
    assert line.metrics()["tcps_skus_stopped"] == 0

"""The line in a dozen numbers, and its health: what is unknown shares its weight among the rest."""

from typing import Any

import pytest

from collectors.overview.rules import overall, parts
from tests.collectors.asking import cord, order, resolve, started
from tests.line import DAY, HOUR, NOW, Line

WEIGHTS = {"quality": 0.3, "andon": 0.3, "throughput": 0.2, "lead_time": 0.2}

# pass rate, open andons, throughput an hour, lead time in hours; then the four parts
PARTS = [
    ((None, None, None, None), (None, None, None, None)),
    ((1.0, 0, 5.0, 0.0), (1.0, 1.0, 1.0, 1.0)),
    ((0.5, 3, 1.0, 25.0), (0.5, 0.7, 0.2, 0.75)),
    ((0.0, 10, 0.0, 100.0), (0.0, 0.0, 0.0, 0.0)),
    ((0.0, 11, 9.0, 250.0), (0.0, 0.0, 1.0, 0.0)),
]
# the four parts; then the whole
OVERALL = [
    ((None, None, None, None), None),
    ((1.0, 1.0, 1.0, 1.0), 1.0),
    ((0.5, 0.7, 0.2, 0.75), 0.3 * 0.5 + 0.3 * 0.7 + 0.2 * 0.2 + 0.2 * 0.75),
    ((None, 0.7, 0.2, 0.75), (0.3 * 0.7 + 0.2 * 0.2 + 0.2 * 0.75) / 0.7),
    ((0.5, None, None, None), 0.5),
    ((None, 1.0, 0.0, None), 0.6),
    ((None, None, 0.25, 0.75), 0.5),
    ((0.0, 0.0, 0.0, 0.0), 0.0),
]


@pytest.mark.parametrize(("numbers", "expected"), PARTS)
def test_each_part_runs_from_nothing_to_one(numbers, expected) -> None:
    assert tuple(parts(*numbers).values()) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("known", "expected"), OVERALL)
def test_the_weight_of_the_unknown_is_shared_by_the_rest(known, expected) -> None:
    assert overall(dict(zip(WEIGHTS, known, strict=True)), WEIGHTS) == pytest.approx(expected)


def test_weights_of_nothing_make_no_health() -> None:
    assert overall({"quality": None, "andon": 1.0}, {"quality": 1.0, "andon": 0.0}) is None


def health(line: Line) -> tuple[Any, ...]:
    found = line.document("overview")["system_health"]
    assert list(found) == ["overall", *WEIGHTS]
    return tuple(found.values())


def test_of_a_line_where_nothing_happened_no_health_is_known(line: Line) -> None:
    found = line.document("overview")
    assert found["system_health"] == dict.fromkeys(["overall", *WEIGHTS])
    assert {name: found[name] for name in list(found)[4:-1]} == {
        "total_work_orders": 0, "active_work_orders": 0, "open_andons": 0, "quality_gate_pass_rate": None,
        "avg_lead_time_hours": None, "throughput_per_hour": 0.0,
    }  # fmt: skip


def test_the_overview_joins_the_numbers_of_the_others(line: Line) -> None:
    one = started(line, occurred_at=NOW - 10 * HOUR)
    started(line)
    order(line)
    cord(line, "auth@1")
    line.now += 1
    line.call("work_orders.complete", id=one, occurred_at=NOW)
    found = line.document("overview")
    assert {name: found[name] for name in list(found)[4:-1]} == {
        "total_work_orders": 3, "active_work_orders": 1, "open_andons": 1, "quality_gate_pass_rate": None,
        "avg_lead_time_hours": 10.0, "throughput_per_hour": 1 / 24,
    }  # fmt: skip
    throughput = 1 / 24 / 5
    expected = (0.3 * 0.9 + 0.2 * throughput + 0.2 * 0.9) / 0.7
    assert health(line) == (pytest.approx(expected), None, 0.9, pytest.approx(throughput), 0.9)


def test_totals_are_of_all_time(line: Line) -> None:
    line.call("work_orders.cancel", id=order(line), reason="no")
    line.call("work_orders.complete", id=started(line))
    line.now += 400 * DAY
    found = line.document("overview")
    assert (found["total_work_orders"], found["active_work_orders"], found["avg_lead_time_hours"]) == (2, 0, None)


def test_ten_open_andons_are_no_health_of_andons(line: Line) -> None:
    several = [cord(line, f"s{number}") for number in range(12)]
    assert health(line)[2] == 0.0
    for one in several[:7]:
        resolve(line, one)
    assert health(line)[2] == 0.5


def test_weights_are_settings(tmp_path) -> None:
    weights = {"health.weight_quality": 0, "health.weight_andon": 1, "health.weight_throughput": 3}
    line = Line(tmp_path, **weights, **{"health.weight_lead_time": 0})
    cord(line, "auth@1")
    found = health(line)
    line.close()
    assert found == (pytest.approx(0.9 / 4), None, 0.9, 0.0, None)

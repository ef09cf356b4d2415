"""Kaizen before any improvement is measured: nulls, and the twelve weeks by their ISO names."""

import pytest

from collectors.kaizen.view import week
from exporter.clock import parse
from tests.line import DAY, Line


def test_without_a_measurement_nothing_is_claimed(line: Line) -> None:
    found = line.document("kaizen")
    assert set(found["week_over_week"].values()) == {None}
    assert list(found["week_over_week"]) == ["lead_time_reduction", "defect_reduction", "throughput_increase"]
    assert (found["top_waste_points"], found["improvement_proposals"]) == ([], [])
    assert [trend["metric"] for trend in found["trend_data"]] == ["lead_time", "defect_rate", "throughput"]


def test_the_trend_has_twelve_weeks_the_oldest_first(line: Line) -> None:
    expected = [*(f"2026-W{number}" for number in range(43, 54)), "2027-W01"]
    line.now = parse("2027-01-05T00:00:00Z")
    for trend in line.document("kaizen")["trend_data"]:
        assert trend["data"] == [{"week": name, "value": None} for name in expected]


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-24T06:00:00Z", "2026-W48"),
        ("2026-11-22T23:59:59Z", "2026-W47"),
        ("2027-01-03T23:59:59Z", "2026-W53"),
        ("2027-01-04T00:00:00Z", "2027-W01"),
        ("2024-12-30T00:00:00Z", "2025-W01"),
        ("2026-01-01T00:00:00Z", "2026-W01"),
    ],
)
def test_weeks_are_those_of_iso_8601_in_utc(moment: str, name: str) -> None:
    assert week(parse(moment)) == name
    assert week(parse(moment) + 7 * DAY) != name

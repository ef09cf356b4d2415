"""Names of single things, and moments in time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import clock, ids


@given(st.integers(0, 10**18 - 1))
def test_a_name_leads_back_to_its_number(number: int) -> None:
    assert ids.number("WO", ids.name("WO", number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "", "WO", "WO-", "WO-x", "WO--1", "WO-1 ", " WO-1", "wo-1", "AND-1", "WO-1.0", "WO-1-2", "WO-+1", "WO-٣",
        "WO-²", "WO-1\n", "WO-" + "9" * 19, "WO-" + "9" * 5000, "WO-1_0",
    ],
)  # fmt: skip
def test_what_is_no_name_has_no_number(text: str) -> None:
    assert ids.number("WO", text) is None


@pytest.mark.parametrize("text", ["WO-007", "WO-00", "WO-01"])
def test_a_thing_has_one_name_only(text: str) -> None:
    assert ids.number("WO", text) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_500_000_000, "2026-11-24T06:00:00.000Z"),
        (1_795_500_000_007, "2026-11-24T06:00:00.007Z"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_shown_in_utc(moment: int, text: str) -> None:
    assert clock.iso(moment) == text
    assert clock.parse(text) == moment


@given(st.integers(0, (1 << 47) - 1))
def test_a_moment_shown_is_the_moment_read(moment: int) -> None:
    assert clock.parse(clock.iso(moment)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T06:00:00Z", 1_795_500_000_000),
        ("2026-11-24T07:00:00+01:00", 1_795_500_000_000),
        ("2026-11-24T00:30:00-05:30", 1_795_500_000_000),
        ("2026-11-24 06:00:00Z", 1_795_500_000_000),
        ("2026-11-24T06:00:00.1239Z", 1_795_500_000_124),
        ("2026-11-24T06:00:00-00:00", 1_795_500_000_000),
    ],
)
def test_a_time_with_a_zone_is_read(text: str, moment: int) -> None:
    assert clock.parse(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026-11-24", "2026-11-24T06:00:00", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-11-24T24:01:00Z", "2026-11-24T06:00:00+25:00", "1795500000000", "24/11/2026 06:00:00Z",
    ],
)  # fmt: skip
def test_a_time_without_a_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        clock.parse(text)


def test_the_clock_tells_the_time() -> None:
    before = time.time()
    assert before - 1 <= clock.now() / 1000 <= time.time() + 1
    assert clock.monotonic() <= clock.monotonic()

"""Cursors of lists."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Invalid
from exporter.paging import NEWEST, after, cursor

numbers = st.integers(0, (1 << 62) - 1)


@given(numbers, numbers)
def test_a_cursor_leads_back_to_its_row(at: int, no: int) -> None:
    text = cursor(at, no)
    assert after(text) == (at, no)
    assert text.replace("-", "").replace("_", "").isalnum()  # needs no quoting in a URL


def test_without_a_cursor_a_list_begins_before_every_row() -> None:
    assert after(None) == NEWEST
    assert NEWEST > (1 << 47, 1 << 61)


def spelled(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "nonsense", "!!!", "é", "0", cursor(5, 7) + "A", spelled("5"), spelled("5."), spelled("5.7.9"),
        spelled("a.7"), spelled("5.é"), spelled("5.7e3"), f" {cursor(5, 7)}", spelled("9" * 5000 + ".1"),
    ],
)  # fmt: skip
def test_what_is_no_cursor_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(Invalid, match="cursor: expected the next_cursor of a list, got") as refused:
        after(text)
    assert (refused.value.field, refused.value.status) == ("cursor", 422)


@pytest.mark.parametrize("plain", [f"{1 << 63}.1", f"1.{1 << 63}", f"-{1 << 64}.1"])
def test_a_cursor_that_no_database_can_compare_is_refused(plain: str) -> None:
    with pytest.raises(Invalid, match="cursor: expected"):
        after(spelled(plain))


@pytest.mark.parametrize("plain", ["1_0.7", " 5.7", "5.7\n", "+5.7"])
def test_only_what_we_spelled_is_a_cursor(plain: str) -> None:
    with pytest.raises(Invalid, match="cursor: expected"):
        after(spelled(plain))

"""Work orders as lists: newest first, pages that stay put, filters that agree with the documents."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.contract import Invalid, NotFound
from tests.collectors.asking import ask, order, started
from tests.line import DAY, HOUR, NOW, Line


def pages(line: Line, limit: int, **params: Any) -> list[list[str]]:
    """The ids of all pages, the first one first."""
    found: list[list[str]] = []
    cursor = None
    while True:
        page = ask(line, "work_orders.find", limit=limit, cursor=cursor, **params)
        found.append([one["id"] for one in page["work_orders"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_lists_are_newest_first_by_event_time(line: Line) -> None:
    middle, oldest = order(line, occurred_at=NOW - HOUR), order(line, occurred_at=NOW - DAY)
    newest, newer = order(line), order(line)
    assert pages(line, 50) == [[newer, newest, middle, oldest]]


@pytest.mark.parametrize(("orders", "sizes"), [(0, [0]), (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])])
def test_the_last_page_has_no_cursor(line: Line, orders: int, sizes: list[int]) -> None:
    several = [order(line) for _ in range(orders)]
    found = pages(line, 2)
    assert [len(page) for page in found] == sizes
    assert [one for page in found for one in page] == several[::-1]


def test_a_list_without_a_limit_has_fifty(line: Line) -> None:
    for _ in range(51):
        order(line)
    page = ask(line, "work_orders.find")
    assert len(page["work_orders"]) == 50
    assert len(ask(line, "work_orders.find", cursor=page["next_cursor"])["work_orders"]) == 1


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_cursor_stays_put_when_others_are_added(tmp_path_factory, data) -> None:
    """Walks the pages while orders of any age are added: what was there is seen once each, in order."""
    line = Line(tmp_path_factory.mktemp("pages"))
    ages = st.integers(0, 5)  # few, so that many are of one moment
    for age in data.draw(st.lists(ages, min_size=1, max_size=12)):
        order(line, occurred_at=NOW - age * HOUR)
    there = [one for page in pages(line, 100) for one in page]
    limit = data.draw(st.integers(1, 5))
    seen, cursor = [], None
    while True:
        page = ask(line, "work_orders.find", limit=limit, cursor=cursor)
        seen += [one["id"] for one in page["work_orders"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        for age in data.draw(st.lists(ages, max_size=3)):
            order(line, occurred_at=NOW - age * HOUR)
    line.close()
    assert [one for one in seen if one in there] == there
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("cursor", ["x", "", "MTIz", "YS5i", "MS4yLjM", "é", "=="])
def test_what_is_no_cursor_is_refused(line: Line, cursor: str) -> None:
    with pytest.raises(Invalid) as raised:
        ask(line, "work_orders.find", cursor=cursor)
    assert raised.value.field == "cursor"


@pytest.mark.parametrize(
    ("params", "field"),
    [({"limit": 0}, "limit"), ({"limit": 501}, "limit"), ({"status": "open"}, "status"), ({"sla": "on_time"}, "sla"),
     ({"colour": "red"}, "colour")],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(line: Line, params, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        ask(line, "work_orders.find", **params)
    assert raised.value.field == field


def mixture(line: Line) -> list[dict[str, Any]]:
    """Orders of every status, bucket, SKU and age."""
    for number, bucket in enumerate(["reliability", "security", "cost", "compliance"] * 9):
        age = [0, 17 * HOUR, 18 * HOUR, 18 * HOUR + 1, DAY, DAY + 1, 126 * HOUR + 1, 7 * DAY + 1, 29 * DAY][number % 9]
        one = order(line, bucket=bucket, sku_id=f"sku-{number % 3}", occurred_at=NOW - age)
        steps = [[], ["start"], ["start", "complete"], ["cancel"], ["start", "complete", "reopen"]][number % 5]
        line.call("kanban.set_limit", bucket=bucket, limit=None)
        for step in steps:
            line.call(f"work_orders.{step}", id=one, **({"reason": "x"} if step == "cancel" else {}))
    for age in (0, 18 * HOUR + 1, 8 * DAY):
        order(line, dependencies=["WO-1"], bucket="security", sku_id="sku-1", occurred_at=NOW - age)
    found: list[dict[str, Any]] = ask(line, "work_orders.find", limit=500)["work_orders"]
    return found


def test_filters_agree_with_the_documents(line: Line) -> None:
    every = mixture(line)
    for name, values in (
        ("status", ("queued", "blocked", "in_progress", "completed", "cancelled")),
        ("bucket", ("reliability", "security", "cost", "compliance", "sales")),
        ("sku_id", ("sku-0", "sku-1", "sku-9")),
    ):
        for value in values:
            expected = [one["id"] for one in every if one[name] == value]
            assert [one for page in pages(line, 3, **{name: value}) for one in page] == expected
    both = [one["id"] for one in every if one["bucket"] == "cost" and one["status"] == "in_progress"]
    assert [one for page in pages(line, 2, bucket="cost", status="in_progress") for one in page] == both != []


@pytest.mark.parametrize("later", [0, 1, HOUR, 6 * HOUR, 6 * HOUR + 1, DAY, 6 * DAY])
def test_the_sla_filter_agrees_with_the_documents(line: Line, later: int) -> None:
    mixture(line)
    line.now += later
    every = ask(line, "work_orders.find", limit=500)["work_orders"]
    for sla in ("breached", "warning"):
        expected = [one["id"] for one in every if one["sla_status"] == sla]
        assert [one for page in pages(line, 5, sla=sla) for one in page] == expected != []


def test_the_sla_filter_agrees_where_four_does_not_divide_the_time(tmp_path) -> None:
    line = Line(tmp_path, **{"buckets.security.sla_hours": 10 / HOUR})  # 10 ms: a warning from 2 ms before its end
    try:
        one = order(line, bucket="security")
        line.now += 8
        found = ask(line, "work_orders.find", sla="warning")["work_orders"]
        assert [each["id"] for each in found] == [one]
        assert found[0]["sla_status"] == "warning"
    finally:
        line.close()


def test_sla_counts_on_metrics_agree_with_the_documents(line: Line) -> None:
    """There they count open orders only."""
    mixture(line)
    for later in (0, HOUR, 5 * HOUR, 2 * DAY):
        line.now += later
        every = ask(line, "work_orders.find", limit=500)["work_orders"]
        shown = line.metrics()
        for bucket in ("reliability", "security", "cost", "compliance"):
            mine = [one["sla_status"] for one in every if one["bucket"] == bucket and not ended(one)]
            for sla in ("breached", "warning"):
                assert shown[f'tcps_work_orders_sla_{sla}{{bucket="{bucket}"}}'] == mine.count(sla)


def ended(one: dict[str, Any]) -> bool:
    return one["status"] in ("completed", "cancelled")


def test_one_order_is_shown_or_not_found(line: Line) -> None:
    one = started(line)
    assert ask(line, "work_orders.one", id=one)["status"] == "in_progress"
    with pytest.raises(NotFound):
        ask(line, "work_orders.one", id="WO-2")

"""The door for CSV: good rows land, bad ones come back with their line and field, a broken file says where it broke."""

import gzip
import io
from typing import Any

import msgspec
import pytest

from collectors.intake import csv_door
from exporter.contract import Invalid, Malformed
from tests.collectors.asking import ask, head, kinds
from tests.line import DAY, HOUR, MINUTE, NOW, Line

LOG = {"item": "case", "activity": "activity", "time": "time", "map": ["Start=in_progress", "Close=completed"]}
WIDE = "id,bucket,priority,created_at,started_at,completed_at,status,sku_id"


def take(line: Line, text: str | bytes, **options: Any) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    told = csv_door.run(line.service, io.BytesIO(raw), csv_door.Options(**options), "tester")
    return msgspec.to_builtins(told)


def log(line: Line, *rows: str, **options: Any) -> Any:
    return take(line, "\n".join(["case,activity,time", *rows]), **(LOG | options))


def wide(line: Line, *rows: str, **options: Any) -> Any:
    return take(line, "\n".join([WIDE, *rows]), **options)


def orders(line: Line) -> dict[str, Any]:
    found = ask(line, "work_orders.find", limit=500)["work_orders"]
    return {one["external_id"]: one for one in found}


def bad(told: Any) -> list[tuple[int, str]]:
    assert told["rejected_rows"] == len(told["rejected"])
    return [(one["line"], one["field"]) for one in told["rejected"]]


def test_an_event_log_becomes_orders(line: Line) -> None:
    told = log(line, "A,Mail,1000", "A,Start,2000", "A,Close,5000", "B,Start,1970-01-01T00:00:07Z")
    assert told == {
        "outcome": "accepted", "reason": "", "facts": 4, "duplicates": 0, "rejected_rows": 0, "rejected": [],
    }  # fmt: skip
    found = orders(line)
    assert {name: one["status"] for name, one in found.items()} == {"A": "completed", "B": "in_progress"}
    assert [found["A"][name] for name in ("created_at", "started_at", "completed_at")] == [1000, 2000, 5000]
    assert found["B"]["created_at"] == 7000
    assert kinds(line)[-1] == "intake.import_finished"


def test_a_wide_table_becomes_orders(line: Line) -> None:
    told = wide(
        line, "A,cost,high,1000,2000,5000,completed,auth@1", "B,,,1000,,,,", "C,security,10,1000,2000,,in_progress,",
        "D,,low,1000,,,cancelled,",
    )  # fmt: skip
    assert (told["outcome"], told["facts"]) == ("accepted", 4)
    found = orders(line)
    shown = {name: (one["bucket"], one["priority"], one["status"], one["sku_id"]) for name, one in found.items()}
    assert shown == {
        "A": ("cost", 7, "completed", "auth@1"), "B": ("reliability", 5, "queued", None),
        "C": ("security", 10, "in_progress", None), "D": ("reliability", 3, "cancelled", None),
    }  # fmt: skip


def test_telling_it_again_changes_nothing(line: Line) -> None:
    rows = ("A,Mail,1000", "A,Mail,1000", "A,Start,2000")
    assert (log(line, *rows)["facts"], log(line, *rows)["duplicates"]) == (2, 3)
    before = line.metrics()
    told = log(line, *rows)
    assert (told["outcome"], told["facts"], told["duplicates"]) == ("duplicate", 0, 3)
    ingested = 'tcps_ingest_events_total{outcome="duplicate",source="csv"}'
    assert line.metrics()[ingested] == before[ingested] + 3 == 7


def test_a_bad_row_in_the_middle_comes_back_and_the_others_land(line: Line) -> None:
    told = log(line, "A,Mail,1000", "B,Mail,yesterday", ",Mail,3000", "C,Mail,4000")
    assert (told["outcome"], told["facts"], bad(told)) == ("accepted", 2, [(3, "time"), (4, "case")])
    assert "yesterday" in told["rejected"][0]["message"]
    assert set(orders(line)) == {"A", "C"}
    assert line.metrics()['tcps_ingest_events_total{outcome="rejected",source="csv"}'] == 2


def test_a_line_is_counted_as_editors_count_it(line: Line) -> None:
    told = log(line, '"A', 'of two lines",Mail,1000', "", "B,Mail,yesterday")
    assert bad(told) == [(5, "time")]
    assert set(orders(line)) == {"A\nof two lines"}


FUTURE = NOW + 5 * MINUTE
ROWS = [
    ("A,,,1000,,,,", None), (f"A,,,{NOW},,,,", None), (f"A,,,{FUTURE},,,,", None),
    (f"A,,,{FUTURE + 1},,,,", "created_at"), ("A,,,2027-01-01T00:00:00Z,,,,", "created_at"),
    ("A,,,1000,2027-01-01T00:00:00Z,,,", "started_at"), ("A,,,,,,,", "created_at"), ("A,,,-5,,,,", "created_at"),
    ("A,,,2026-01-01 00:00:00,,,,", "timezone"), ("A,,,2026-02-30T00:00:00Z,,,,", "created_at"),
    ("A,,,0001-01-01T00:00:00+14:00,,,,", "created_at"), ("A,,,99999999999999999999,,,,", "created_at"),
    ("A,,,\u00b2,,,,", "created_at"), (",,,1000,,,,", "id"), (f"{'x' * 200},,,1000,,,,", None),
    (f"{'x' * 201},,,1000,,,,", "id"), ("A,sales,,1000,,,,", "bucket"), ("A,,urgent,1000,,,,", "priority"),
    ("A,,0,1000,,,,", "priority"), ("A,,11,1000,,,,", "priority"), ("A,,-1,1000,,,,", "priority"),
    ("A,,,1000,,,done,", "status"), ("A,,,1000,,,in_progress,", "started_at"),
    ("A,,,1000,2000,,completed,", "completed_at"), (f"A,,,1000,,,,{'x' * 201}", "sku_id"),
    ("A,,,1000,,,", "sku_id"), ("A,,,1000,,,,,", "sku_id"), ("A", "sku_id"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "field"), ROWS)
def test_a_wide_row_lands_or_comes_back_by_its_field(line: Line, row: str, field: str | None) -> None:
    told = wide(line, row, "last,,,1000,,,,")
    assert bad(told) == ([(2, field)] if field else [])
    assert "last" in orders(line)


@pytest.mark.parametrize("priority", ["\u00b2", "9" * 5000])
def test_a_priority_that_is_no_number_comes_back_too(line: Line, priority: str) -> None:
    told = wide(line, f"A,,{priority},1000,,,,", "last,,,1000,,,,")
    assert bad(told) == [(2, "priority")]


CONTRADICTIONS = [
    "A,,,1000,2000,3000,in_progress,", "A,,,1000,2000,3000,queued,", "A,,,1000,2000,,queued,",
    "A,,,1000,,3000,blocked,", "A,,,1000,5000,3000,completed,",
]  # fmt: skip


@pytest.mark.parametrize("row", CONTRADICTIONS)
def test_a_row_whose_times_belie_its_status_comes_back_or_keeps_it(line: Line, row: str) -> None:
    """Contract, section 3: the wide table has a column `status`; "good ones land, bad ones come back as rejected"."""
    told = wide(line, row)
    assert bad(told) or orders(line)["A"]["status"] == row.split(",")[6]


def test_a_short_row_of_a_log_comes_back(line: Line) -> None:
    told = log(line, "A,Mail", "B,Mail,1000,more than asked for")
    assert bad(told) == [(2, "time")]
    assert set(orders(line)) == {"B"}


def test_buckets_come_from_an_option_or_a_column(line: Line) -> None:
    log(line, "A,Mail,1000", bucket="cost")
    text = "case,activity,time,team\nB,Mail,1000,security\nC,Mail,1000,\nD,Mail,1000,sales"
    told = take(line, text, **LOG, bucket="compliance", bucket_column="team")
    assert bad(told) == [(4, "team")]
    assert {n: one["bucket"] for n, one in orders(line).items()} == {"A": "cost", "B": "security", "C": "compliance"}


def test_the_first_event_of_an_item_decides_its_bucket_in_whatever_order(line: Line) -> None:
    """Contract, section 3: "the first event of an item creates it; --bucket NAME or --bucket-column"."""
    for row in ("A,Start,2000,cost", "A,Mail,1000,security"):
        take(line, f"case,activity,time,team\n{row}", **LOG, bucket_column="team")
    assert orders(line)["A"]["bucket"] == "security"


def test_times_without_a_zone_are_read_in_the_zone_that_is_named(line: Line) -> None:
    told = log(line, "A,Mail,2026-07-01T12:00:00", "A,Close,2026-01-01 12:00", timezone="Europe/Rome")
    assert told["facts"] == 2
    one = orders(line)["A"]
    assert (one["completed_at"], one["created_at"]) == (one["created_at"], 1_767_265_200_000)
    assert one["history"][-1]["timestamp"] == 1_782_900_000_000


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timezone": "Rome"}, "timezone"), ({"timezone": "../etc"}, "timezone"), ({"map": ["Close"]}, "map"),
        ({"map": ["Close=done"]}, "map"), ({"bucket": "sales"}, "bucket"), ({"item": "ticket"}, "item"),
        ({"activity": "doing"}, "activity"), ({"time": "when"}, "time"), ({"bucket_column": "team"}, "bucket_column"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_before_anything_is_stored(line: Line, options, field: str) -> None:
    before = head(line)
    with pytest.raises(Invalid) as raised:
        log(line, "A,Mail,1000", **options)
    assert (raised.value.field, head(line)) == (field, before)


@pytest.mark.parametrize("text", ["", "\n", "   \n", "\n\n\n", "\ufeff"])
def test_a_file_without_a_header_is_refused(line: Line, text: str) -> None:
    with pytest.raises(Invalid, match="header"):
        take(line, text)


@pytest.mark.parametrize("header", ["case,activity,time", "id,created_at,colour", "id", "A,,,1000,,,,", "x" * 70_000])
def test_a_table_with_other_columns_is_refused(line: Line, header: str) -> None:
    before = head(line)
    with pytest.raises(Invalid) as raised:
        take(line, f"{header}\nA,1000,2000")
    assert (raised.value.field, head(line)) == ("file", before)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_line_ends_and_a_byte_order_mark_are_understood(line: Line, delimiter: str, end: str) -> None:
    text = end.join(row.replace(",", delimiter) for row in ("id,created_at", "A,1000", '"B, C",2000', ""))
    assert take(line, f"\ufeff{text}")["facts"] == 2


def test_gzip_is_read_as_it_is(line: Line) -> None:
    assert take(line, gzip.compress(b"id,created_at\nA,1000\n"))["facts"] == 1


@pytest.mark.parametrize("raw", [b"id,created_at\nA,1000\nB\xff,2000\n", b"\xff\xfei\0d\0", b"caf\xe9,created_at\n"])
def test_what_is_not_utf8_is_refused(line: Line, raw: bytes) -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        take(line, raw)


def test_a_huge_field_is_refused_with_its_line(line: Line) -> None:
    with pytest.raises(Malformed, match=r"line 4: .*field larger") as raised:
        take(line, f"id,created_at\nA,1000\nB,1000\n{'x' * 140_000},1000\n")
    assert raised.value.details == {"line": 4}


def test_a_dry_run_reads_all_and_changes_nothing(line: Line) -> None:
    before = head(line)
    told = log(line, "A,Mail,1000", "B,Mail,yesterday", dry_run=True)
    assert (told["outcome"], told["facts"], bad(told)) == ("ignored", 1, [(3, "time")])
    assert head(line) == before


def test_only_the_first_thousand_bad_rows_are_told(line: Line) -> None:
    told = log(line, *["A,Mail,never"] * 1001, "B,Mail,1000")
    assert (told["rejected_rows"], len(told["rejected"]), told["facts"]) == (1001, 1000, 1)
    assert told["rejected"][-1]["line"] == 1001


def test_a_file_without_a_good_row_says_so(line: Line) -> None:
    assert (log(line)["outcome"], log(line, "A,Mail,never")["outcome"]) == ("ignored", "ignored")


def test_a_finished_import_lets_counters_fall_to_the_truth_once(line: Line) -> None:
    count = 'tcps_work_order_lead_time_seconds_bucket{bucket="reliability",le="3600.0"}'
    start = NOW - DAY
    log(line, f"A,Mail,{start}", f"A,Close,{start + HOUR}")
    again = {"item": "A", "at": start + 2 * HOUR, "what": "completed", "activity": "Close"}
    line.call("work_orders.record", entries=[again])
    assert line.metrics()[count] == 1, "nothing finished: the greatest it has been"
    log(line, f"A,Mail,{start}")
    assert line.metrics()[count] == 1, "an import that changed nothing rebases nothing"
    log(line, f"B,Mail,{start}")
    assert line.metrics()[count] == 0
    assert line.metrics()["tcps_work_orders_total"] == 2


def broken(line: Line) -> list[str]:
    """Takes in a gzipped log whose last bytes are missing: 250 rows, which close A twice. The rows."""
    start = NOW - DAY
    rows = [f"A,Mail,{start}", f"A,Close,{start + HOUR}", f"A,Close,{start + 2 * HOUR}"]
    rows += [f"B,Mail,{start + number}" for number in range(247)]
    whole = gzip.compress("\n".join(["case,activity,time", *rows, ""]).encode())
    with pytest.raises(Malformed, match="can't be read"):
        take(line, whole[:-8], **LOG)
    return rows


def test_a_file_that_breaks_off_leaves_nothing_or_a_finished_import(line: Line) -> None:
    """`run` says "Raises: Malformed [...]; then nothing was stored"."""
    before = head(line)
    broken(line)
    assert head(line) == before or kinds(line)[-1] == "intake.import_finished"


def test_counters_come_to_the_truth_when_a_broken_file_is_imported_whole(line: Line) -> None:
    """Contract, section 6: "one finished history import rebases them once"."""
    rows = broken(line)
    log(line, *rows)
    shown = line.metrics()
    family = "tcps_work_order_lead_time_seconds"
    assert shown[f'{family}_count{{bucket="reliability"}}'] == 1
    assert shown[f'{family}_bucket{{bucket="reliability",le="3600.0"}}'] == 0, "it was closed at 1 h and again at 2 h"

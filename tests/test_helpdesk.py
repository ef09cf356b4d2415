"""Four years of a real help desk, taken in through the door for CSV: the counts exactly, the percentiles within 1 %.

The numbers in README are those of ../shared/data/README.md; all others are worked out here from the file itself.
"""

import csv
import gzip
import io
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from collectors.intake import csv_door
from exporter.contract import Malformed
from tests.collectors.asking import ask, configure, head, kinds
from tests.line import DAY, HOUR, MINUTE, Line

pytestmark = pytest.mark.real_data
OPTIONS = csv_door.Options(
    item="case", activity="activity", time="timestamp", map=["Take in charge ticket=in_progress", "Closed=completed"]
)
EVENTS, DISTINCT, ITEMS = 21_348, 21_221, 4_580
README = {  # n, p50, p85, p95, mean in seconds
    "lead_time": (4_559, 3_436_711, 4_324_115.8, 5_006_998.2, 3_528_656.26),
    "cycle_time": (4_267, 3_115_950, 4_133_586, 4_752_661.3, 3_186_112.83),
}
BOUNDS = [
    *(m * MINUTE for m in (15, 30)), *(h * HOUR for h in (1, 2, 4, 8, 16)),
    *(d * DAY for d in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90)),
]  # fmt: skip
# What follows from the way of telling and not from what is told: ids, rows and facts, the machine.
OF_THE_WAY = ("tcps_ingest_events_total", "tcps_store_bytes", "tcps_collector_duration", "process_", "python_")


class Row(NamedTuple):
    case: str
    activity: str
    at: int


class Ticket(NamedTuple):
    """Of a ticket's events in the order of time."""

    created: int
    started: int | None
    completed: int | None
    reopened: int
    status: str


@pytest.fixture(scope="module")
def raw(shared_data: Path) -> bytes:
    return (shared_data / "helpdesk.csv.gz").read_bytes()


@pytest.fixture(scope="module")
def rows(raw: bytes) -> list[Row]:
    table = csv.DictReader(io.StringIO(gzip.decompress(raw).decode()))
    return [Row(one["case"], one["activity"], milliseconds(one["timestamp"])) for one in table]


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(scope="module")
def tickets(rows: list[Row]) -> list[Ticket]:
    """Worked out with the standard library: the first event creates, work or a close after a close reopens."""
    cases: dict[str, set[Row]] = {}
    for row in rows:
        cases.setdefault(row.case, set()).add(row)
    return [ticket(sorted(told, key=lambda row: (row.at, row.activity == "Closed"))) for told in cases.values()]


def ticket(told: list[Row]) -> Ticket:
    words = {"Take in charge ticket": "in_progress", "Closed": "completed"}
    turns = [words[row.activity] for row in told if row.activity in words]
    starts = [row.at for row in told if words.get(row.activity) == "in_progress"]
    ends = [row.at for row in told if words.get(row.activity) == "completed"]
    again = sum(one == "completed" for one, _ in pairwise(turns))
    status = turns[-1] if turns else "queued"
    return Ticket(told[0].at, min(starts, default=None), max(ends, default=None), again, status)


def make(folder: Path) -> Line:
    """A line whose windows reach back to 2010."""
    return Line(folder, **{f"windows.{name}": "10000d" for name in ("lead_time", "cycle_time", "andon", "waste")})


def take(line: Line, raw: bytes) -> csv_door.Imported:
    return csv_door.run(line.service, io.BytesIO(raw), OPTIONS, "tester")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> Iterator[Line]:
    """The line after one import of the whole file."""
    line = make(tmp_path_factory.mktemp("desk"))
    told = take(line, raw)
    counts = (told.outcome, told.facts, told.duplicates, told.rejected_rows)
    assert counts == ("accepted", DISTINCT, EVENTS - DISTINCT, 0)
    yield line
    line.close()


def numbers(line: Line) -> tuple[dict[str, Any], dict[str, float]]:
    """All documents without the ids, and all metrics, but for what tells of the way."""
    documents = {name: without_ids(line.document(name)) for name in line.service.snapshots.collect().documents}
    return documents, {name: value for name, value in line.metrics().items() if not name.startswith(OF_THE_WAY)}


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(inner) for key, inner in value.items() if key != "id"}
    return [without_ids(inner) for inner in value] if isinstance(value, list) else value


def test_the_file_is_what_its_readme_says(rows: list[Row], tickets: list[Ticket]) -> None:
    assert (len(rows), len(set(rows)), len(tickets)) == (EVENTS, DISTINCT, ITEMS)
    assert sum(one.reopened for one in tickets) == 3


def test_counts_are_exact(desk: Line, tickets: list[Ticket]) -> None:
    overview, shown = desk.document("overview"), desk.metrics()
    assert (overview["total_work_orders"], overview["active_work_orders"]) == (ITEMS, 18)
    assert (shown["tcps_work_orders_completed_total"], shown["tcps_work_orders_reopened_total"]) == (4_559, 3)
    assert shown['tcps_kanban_queued{bucket="reliability"}'] == 4
    statuses = [one.status for one in tickets]
    for status, count in (("completed", 4_558), ("in_progress", 18), ("queued", 4)):
        assert listed(desk, status) == count == statuses.count(status)


def listed(line: Line, status: str) -> int:
    count, cursor = 0, None
    while True:
        page = ask(line, "work_orders.find", status=status, limit=500, cursor=cursor)
        count, cursor = count + len(page["work_orders"]), page["next_cursor"]
        if cursor is None:
            return count


@pytest.mark.parametrize("name", README)
def test_times_are_those_of_the_readme(desk: Line, name: str) -> None:
    n, *percentiles, mean = README[name]
    found = desk.document("flow")[f"{name}_hours"]
    assert found["n"] == n
    assert found["mean"] * 3600 == pytest.approx(mean, abs=0.005)
    assert [found[p] * 3600 for p in ("p50", "p85", "p95")] == pytest.approx(percentiles, rel=0.01)


def test_histograms_are_exact_in_every_bucket(desk: Line, tickets: list[Ticket]) -> None:
    shown = desk.metrics()
    done = [(one, one.completed) for one in tickets if one.completed is not None]
    leads = sorted(end - one.created for one, end in done)
    cycles = sorted(end - one.started for one, end in done if one.started is not None and one.started <= end)
    for family, values in (("lead", leads), ("cycle", cycles)):
        name = f"tcps_work_order_{family}_time_seconds"
        found = [shown[f'{name}_bucket{{bucket="reliability",le="{bound / 1000}"}}'] for bound in BOUNDS]
        assert found == [bisect_right(values, bound) for bound in BOUNDS]
        assert shown[f'{name}_count{{bucket="reliability"}}'] == len(values)
        assert shown[f'{name}_sum{{bucket="reliability"}}'] == sum(values) / 1000


def test_the_distribution_is_exact(desk: Line, tickets: list[Ticket]) -> None:
    cycles = [one.completed - one.started for one in tickets
              if one.completed and one.started and one.started <= one.completed]  # fmt: skip
    edges = (-1, DAY, 2 * DAY, 3 * DAY, max(cycles))
    expected = [sum(low < one <= high for one in cycles) for low, high in pairwise(edges)]
    assert list(desk.document("flow")["cycle_time_distribution"].values()) == expected


def test_importing_it_again_changes_no_number(desk: Line, raw: bytes) -> None:
    before, facts = numbers(desk), head(desk)
    told = take(desk, raw)
    assert (told.outcome, told.facts, told.duplicates) == ("duplicate", 0, EVENTS)
    assert numbers(desk) == before
    assert head(desk) == facts + 1, "that it was imported, and nothing else"


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_pieces_end_with_the_same_numbers(desk: Line, tmp_path: Path, raw: bytes, seed: int) -> None:
    """Five files of rows in random order, with a restart between them."""
    random = Random(seed)
    header, *lines = gzip.decompress(raw).splitlines(keepends=True)
    random.shuffle(lines)
    line = make(tmp_path)
    for piece in range(5):
        take(line, b"".join([header, *lines[piece::5]]))
        line.metrics()
        if piece == seed:
            line.restart()
    found = numbers(line)
    line.close()
    assert found == numbers(desk)


def test_a_ledger_folded_anew_gives_the_same_numbers(desk: Line) -> None:
    before = numbers(desk)
    desk.restart()
    assert numbers(desk) == before


def test_another_window_is_folded_from_the_same_ledger(desk: Line) -> None:
    kept = desk.settings
    configure(desk, '[windows]\nlead_time = "30d"\n')
    desk.restart()
    lead = desk.document("flow")["lead_time_hours"]
    desk.settings = kept
    desk.restart()
    assert (lead["n"], desk.document("flow")["lead_time_hours"]["n"]) == (0, 4_559)


# --- the file, damaged -------------------------------------------------------------------------------------------


def test_a_file_that_was_cut_off_says_where_and_the_whole_one_mends_it(desk: Line, tmp_path: Path, raw: bytes) -> None:
    line = make(tmp_path)
    with pytest.raises(Malformed, match=r"near line [0-9]+: can't be read") as raised:
        take(line, raw[: len(raw) // 2])
    assert 5_000 < raised.value.details["line"] < 20_000
    told = take(line, raw)
    assert told.facts + told.duplicates == EVENTS
    found = numbers(line)
    line.close()
    assert found == numbers(desk)


def test_a_bad_row_in_the_middle_comes_back_alone(desk: Line, tmp_path: Path, raw: bytes) -> None:
    lines = gzip.decompress(raw).splitlines(keepends=True)
    lines[10_000:10_000] = [b"HD-1,Closed,when?,,,\n", b",Closed,2012-10-09T14:50:17+00:00,,,\n", b"HD-1,Closed\n"]
    line = make(tmp_path)
    told = take(line, b"".join(lines))
    found = numbers(line)
    line.close()
    assert [(bad.line, bad.field) for bad in told.rejected] == [
        (10_001, "timestamp"), (10_002, "case"), (10_003, "resource"),
    ]  # fmt: skip
    assert (told.facts, told.duplicates) == (DISTINCT, EVENTS - DISTINCT)
    assert found == numbers(desk)


def test_a_dry_run_reads_it_all_and_stores_nothing(line: Line, raw: bytes) -> None:
    before = kinds(line)
    told = csv_door.run(line.service, io.BytesIO(raw), msgspec.structs.replace(OPTIONS, dry_run=True), "t")
    assert (told.facts, told.rejected_rows, kinds(line)) == (EVENTS, 0, before)

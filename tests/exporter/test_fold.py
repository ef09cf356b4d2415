"""Views are what the ledger says, whether they were folded at once, bit by bit or from a checkpoint."""

import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from exporter import fold as module
from exporter.fold import LedgerGap
from exporter.host_settings import configured
from tests.exporter.notes import sql
from tests.exporter.stories import numbers, work
from tests.line import DAY, Line


def run(line: Line, text: str, *values: Any) -> list[Any]:
    """SQL on the file of a line that is closed."""
    connection = sqlite3.connect(line.folder / "line.db")
    with connection:
        rows = connection.execute(text, values).fetchall()
    connection.close()
    return rows


def put_back(line: Line, checkpoints: list[Any]) -> None:
    run(line, "DELETE FROM checkpoint")
    for row in checkpoints:
        run(line, "INSERT INTO checkpoint VALUES (?, ?, ?, ?)", *row)


def checkpoints(line: Line) -> list[Any]:
    return run(line, "SELECT collector, version, seq, state FROM checkpoint ORDER BY collector")


# --- checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_checkpoint_and_the_tail_are_the_whole_ledger(line: Line, seed: int) -> None:
    work(line, seed, 150)
    line.service.snapshots.collect()
    line.restart()
    kept = checkpoints(line)
    work(line, seed + 100, 100)
    live = numbers(line)
    line.close()
    put_back(line, kept)
    line.open()
    assert line.service.ledger.head > kept[0][2] > 100
    assert numbers(line) == live
    line.close()
    put_back(line, [])
    line.open()
    assert numbers(line) == live


@pytest.mark.parametrize("seed", range(4))
def test_it_does_not_matter_how_often_the_line_is_looked_at(tmp_path: Path, seed: int) -> None:
    seen = []
    for every in (1, 15):
        (tmp_path / f"every {every}").mkdir()
        line = Line(tmp_path / f"every {every}")
        for part in range(15):
            work(line, 100 * seed + part, 20)
            if part % every == 0:
                line.service.snapshots.collect()
        seen.append(numbers(line))
        line.close()
    assert seen[0] == seen[1]


def test_a_start_folds_only_the_tail(line: Line) -> None:
    work(line, 1, 100)
    line.service.snapshots.collect()
    live = line.service.ledger.head
    line.call("work_orders.create", description="the tail")
    line.close()
    run(line, "UPDATE ledger SET data = '{' WHERE seq <= ?", live)  # whoever folds these fails
    line.open()
    assert line.service.fold.seq == live + 1


def empty(line: Line) -> list[Any]:
    """Checkpoints that know of nothing, though they say they stand at the head."""
    line.restart()
    return checkpoints(line)


SPOILT = {
    "another version": "UPDATE checkpoint SET version = '0 ' || version WHERE collector = 'flow'",
    "another version of all": "UPDATE checkpoint SET version = 'x'",
    "a view without one": "DELETE FROM checkpoint WHERE collector = 'kanban'",
    "one of a view that is gone": "UPDATE checkpoint SET collector = 'gone' WHERE collector = 'kanban'",
    "not all of one seq": "UPDATE checkpoint SET seq = seq - 1 WHERE collector = 'flow'",
    "ahead of the ledger": "UPDATE checkpoint SET seq = seq + 1",
}


@pytest.mark.parametrize("how", SPOILT)
def test_checkpoints_that_do_not_fit_are_not_loaded(line: Line, how: str) -> None:
    nothing = empty(line)
    work(line, 3, 120)
    live = numbers(line)
    line.close()
    put_back(line, [(name, version, line.service.ledger.head, state) for name, version, _, state in nothing])
    run(line, SPOILT[how])
    line.open()
    assert numbers(line) == live


@pytest.mark.parametrize(
    "state",
    [
        b"", b"nonsense", *map(zlib.compress, (b"", b"\x80", b"\xc0", b"\x93\x01", b"\xff" * 1000)), None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["andon", "flow", "kanban", "work_orders"])
def test_a_checkpoint_that_is_damaged_is_not_loaded(line: Line, name: str, state: bytes | None) -> None:
    work(line, 4, 60)
    live = numbers(line)
    line.close()
    if state is None:
        ((whole,),) = run(line, "SELECT state FROM checkpoint WHERE collector = ?", name)
        plain = zlib.decompress(whole)
        state = zlib.compress(plain[: len(plain) // 2])
    run(line, "UPDATE checkpoint SET state = ? WHERE collector = ?", state, name)
    line.open()
    assert numbers(line) == live


def reconfigured(line: Line, **environ: str) -> None:
    line.close()
    flags = {"database": line.settings["database"]}
    line.settings = configured(line._registry.settings, environ=environ, flags=flags)
    line.open()


def test_another_window_is_folded_anew(line: Line) -> None:
    work(line, 5, 200)
    line.service.snapshots.collect()
    reconfigured(line, TCPS_WINDOWS__LEAD_TIME="90d", TCPS_WINDOWS__THROUGHPUT="50d")
    again = numbers(line)
    line.close()
    put_back(line, [])
    line.open()
    assert numbers(line) == again
    assert again[0]["flow"]["lead_time_hours"]["n"] > 0


def test_a_bucket_that_is_new_shows_the_same_with_a_checkpoint_and_without(line: Line) -> None:
    work(line, 6, 60)
    line.service.snapshots.collect()
    reconfigured(line, TCPS_BUCKETS__PAINT__LIMIT="2")
    again = numbers(line)
    assert again[1]['tcps_work_orders_sla_breached{bucket="paint"}'] == 0
    line.close()
    put_back(line, [])
    line.open()
    assert numbers(line) == again


def test_a_checkpoint_is_due_after_so_many_facts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_FACTS", 10)
    line.restart()
    fold, due = line.service.fold, list[bool]()
    for _ in range(21):
        line.call("work_orders.create", description="x")
        line.service.snapshots.collect()
        due.append(fold.due)
        if fold.due:
            fold.checkpoint()
    assert [no for no, one in enumerate(due, 1) if one] == [10, 20]


# --- imports of history ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accepted", "shown"), [(0, 1), (1, 0)])
def test_only_an_import_that_changed_something_lets_counters_fall(line: Line, accepted: int, shown: int) -> None:
    whole = {"item": "a", "bucket": "cost", "created_at": line.now - DAY, "started_at": line.now - DAY}
    line.call("work_orders.record", wholes=[whole | {"completed_at": line.now}])
    line.call("work_orders.record", wholes=[whole | {"status": "in_progress"}])
    counts = ["tcps_work_orders_completed_total", 'tcps_work_order_lead_time_seconds_count{bucket="cost"}']
    assert [line.metrics()[name] for name in counts] == [1, 1]
    line.call("intake.finish_import", source="csv", accepted=accepted, duplicates=1, rejected=0)
    assert [line.metrics()[name] for name in counts] == [shown, shown]


# --- ledgers that are damaged ------------------------------------------------------------------------------------


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Line]:
    """Facts 1 to 4 are limits, 5 to 24 work orders; nothing is checkpointed."""
    line = Line(tmp_path, refresh_interval="100ms")
    for _ in range(20):
        line.call("work_orders.create", description="x")
    line.close()
    put_back(line, [])
    yield line
    line.close()


@pytest.mark.parametrize("seq", [1, 7, 23])
def test_a_fact_that_is_missing_stops_the_fold_and_is_named(told: Line, seq: int) -> None:
    run(told, "DELETE FROM ledger WHERE seq = ?", seq)
    with pytest.raises(LedgerGap, match=f"^fact {seq} is missing in the ledger, {seq + 1} comes next$"):
        told.open()
    assert told.service.fold.seq == seq - 1


def test_a_fact_that_is_missing_at_the_end_is_named(told: Line) -> None:
    told.open()
    told.call("work_orders.create", description="x")
    told.service.store.write(sql("DELETE FROM ledger WHERE seq = 25"))
    with pytest.raises(LedgerGap, match=r"^fact 25 is missing in the ledger, whose head is 25$"):
        told.service.snapshots.collect()


@pytest.mark.parametrize("spoil", ["DELETE FROM ledger WHERE seq = 25", "UPDATE ledger SET data = '{' WHERE seq = 25"])
def test_numbers_that_stand_still_are_a_fault_until_they_go_on(told: Line, spoil: str) -> None:
    told.open()
    told.service.start()
    told.call("work_orders.create", description="x")
    ((data,),) = told.service.store.write(sql("SELECT data FROM ledger WHERE seq = 25"))
    told.service.store.write(sql(spoil))
    gevent.sleep(0.3)
    seen = [(bool(told.service.fault), told.service.snapshots.current.seq)]
    told.service.store.write(sql("DELETE FROM ledger WHERE seq = 25"))
    fact = ("work_orders.created", told.now, told.now, "tester", data)
    told.service.store.write(sql("INSERT INTO ledger VALUES (25, ?, ?, ?, ?, ?)", *fact))
    gevent.sleep(0.3)
    seen.append((bool(told.service.fault), told.service.snapshots.current.seq))
    assert seen == [(True, 24), (False, 25)]


def test_whoever_waits_for_a_collection_that_fails_is_told(told: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 5)  # so that others come to ask while the first page is folded
    told.open()
    for _ in range(10):
        told.call("work_orders.create", description="x")
    told.service.store.write(sql("DELETE FROM ledger WHERE seq = 33"))
    asking = [gevent.spawn(told.service.snapshots.collect) for _ in range(3)]
    gevent.joinall(asking)
    assert [type(each.exception) for each in asking] == [LedgerGap] * 3


def test_a_fact_that_cannot_be_read_stops_the_fold_and_is_named(told: Line) -> None:
    run(told, "UPDATE ledger SET data = '{' WHERE seq = 7")
    with pytest.raises(LedgerGap, match="fact 7"):
        told.open()


def test_a_fact_of_a_kind_that_nobody_knows_any_more_is_passed_over(told: Line) -> None:
    run(told, "UPDATE ledger SET kind = 'gone.told', data = '[]' WHERE seq = 9")
    told.open()
    assert told.document("overview")["total_work_orders"] == 19

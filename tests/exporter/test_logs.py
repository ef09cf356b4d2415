"""One line for whatever happens; who reads slowly, or not at all, holds up nobody."""

import os
import pty
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import gevent
import msgspec
import pytest

from exporter import logs
from exporter.errors import Refusal
from exporter.ledger import AFTER, Staged
from exporter.logs import Log
from exporter.service import Service
from tests.exporter.notes import python
from tests.line import DAY, NOW, Line

DROPPED = 'tcps_sink_failures_total{sink="stdout"}'


class Loud(Line):
    """A line whose log goes to `out`."""

    def __init__(self, folder: Path, out: TextIO, **flags: Any):
        self.out = out
        super().__init__(folder, **flags)

    def open(self) -> None:
        self.service = Service(self.settings, self._registry, out=self.out, now=lambda: self.now)
        self.service.open()
        self.service.catch_up()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Loud, Callable[[], list[Any]]]]:
    """A line that logs into a file, and what stands there once all is written."""
    with (tmp_path / "log").open("w") as out:
        line = Loud(tmp_path, out)

        def lines() -> list[Any]:
            line.close()
            return [msgspec.json.decode(text) for text in (tmp_path / "log").read_bytes().split(b"\n")[:-1]]

        yield line, lines


def test_each_fact_is_one_json_line(told: tuple[Loud, Callable[[], list[Any]]]) -> None:
    line, lines = told
    line.call("work_orders.create", description='two\nlines, "quoted", Grüße \u2028', occurred_at=NOW - DAY)
    line.now += 5
    line.service.call("andon.raise", {"failure_type": "odd", "sku_id": "a\n{}"}, by='me "and" you\n')
    with line.service.read() as rows:
        facts = rows.all(AFTER, after=0, size=100)
    assert lines() == [
        {
            "time": f"2026-11-24T06:00:00.{fact.recorded_at - NOW:03}Z", "level": "info", "event": fact.kind,
            "seq": fact.seq, "occurred_at": fact.occurred_at, "by": fact.by, "data": msgspec.json.decode(fact.data),
        }
        for fact in facts
    ]  # fmt: skip


def test_each_refusal_is_one_json_line(told: tuple[Loud, Callable[[], list[Any]]]) -> None:
    line, lines = told
    for body in ({"id": "WO-9"}, {"id": "WO-9", "extra\n": 1}):
        with pytest.raises(Refusal):
            line.call("work_orders.start", **body)
    refused = [one for one in lines() if one["event"] == "refused"]
    assert [{name: value for name, value in one.items() if name != "time"} for one in refused] == [
        {
            "level": "warning", "event": "refused", "message": "there is no work order WO-9",
            "command": "work_orders.start", "by": "tester", "status": 404, "code": "not_found",
        },
        {
            "level": "warning", "event": "refused", "message": "extra\n: there is no such field",
            "command": "work_orders.start", "by": "tester", "status": 422, "code": "invalid",
        },
    ]  # fmt: skip
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"]) for one in refused)


def test_lines_keep_the_order_of_the_ledger(told: tuple[Loud, Callable[[], list[Any]]]) -> None:
    line, lines = told
    calls = [gevent.spawn(line.call, "work_orders.create", description=str(no)) for no in range(500)]
    gevent.joinall(calls, raise_error=True)
    seqs = [one["seq"] for one in lines()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 500


# --- readers that don't read -------------------------------------------------------------------------------------


class Pipe:
    """A pipe into which a log is written and that nobody reads, until it is asked to."""

    def __init__(self) -> None:
        self.end, write = os.pipe()
        self.out = os.fdopen(write, "w")

    def read(self) -> list[str]:
        """All that is in the pipe, and comes while there is somebody who writes."""
        text, silent = b"", 0
        os.set_blocking(self.end, False)
        while silent < 20:
            try:
                text += os.read(self.end, 1 << 16)
                silent = 0
            except BlockingIOError:
                silent += 1
            gevent.sleep(0.005)
        return text.decode().splitlines()

    def close(self) -> None:
        os.close(self.end)
        gevent.sleep(0.05)  # whoever still writes into it is told
        self.out.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_a_reader_that_does_not_read_holds_up_no_command(tmp_path: Path, pipe: Pipe) -> None:
    line = Loud(tmp_path, pipe.out)
    began = time.perf_counter()
    for _ in range(50):
        line.call("work_orders.create", description="x" * 2000, metadata={"much": "y" * 5000})
    line.document("overview")
    assert time.perf_counter() - began < 5
    assert line.metrics()[DROPPED] == 0
    texts = pipe.read()
    assert [msgspec.json.decode(text)["seq"] for text in texts] == list(range(1, line.service.ledger.head + 1))
    line.close()


@pytest.mark.timeout(10)
def test_a_reader_that_does_not_read_holds_up_no_stop(tmp_path: Path, pipe: Pipe) -> None:
    line = Loud(tmp_path, pipe.out)
    for no in range(300):
        line.service.event("info", "noise", f"{no} " + "x" * 1000)
    began = time.perf_counter()
    line.close()
    assert time.perf_counter() - began < 3
    Line(tmp_path).close()  # nothing was left locked


def test_lines_that_find_no_place_are_dropped_and_counted(
    tmp_path: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LIMIT", 200)
    line = Loud(tmp_path, pipe.out)
    for no in range(1000):
        line.service.event("info", "noise", f"{no} " + "x" * 1000)
        gevent.sleep(0)
    dropped = line.metrics()[DROPPED]
    kept = [text for text in pipe.read() if '"noise"' in text]
    assert len(kept) + dropped == 1000
    assert dropped > 500
    line.service.event("info", "again", "there is room again")
    assert '"again"' in pipe.read()[-1]
    line.close()


def test_a_reader_that_went_away_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    end, write = os.pipe()
    os.close(end)
    with os.fdopen(write, "w") as out:
        line = Loud(tmp_path, out)
        for _ in range(3):
            line.call("work_orders.create", description="x")
            gevent.sleep(0.02)
        assert line.metrics()[DROPPED] >= 3
        line.close()


STUCK = """
import sys
from pathlib import Path
from tests.exporter.test_logs import Loud
line = Loud(Path(sys.argv[1]), sys.stdout)
for no in range(300):
    line.service.event("info", "noise", "x" * 1000)
line.close()
"""


def test_a_process_whose_log_nobody_reads_ends(tmp_path: Path) -> None:
    with python(STUCK, str(tmp_path)) as process:
        try:
            assert process.wait(timeout=6) == 0
        finally:
            process.kill()


# --- terminals ---------------------------------------------------------------------------------------------------


def fact(occurred_at: int) -> Staged:
    return Staged("notes.written", occurred_at, NOW, "me", '{"text":"a"}')


FACTS = [(1, fact(NOW - 3_600_000)), (2, fact(NOW - 3_599_999)), (3, fact(NOW))]


@pytest.mark.parametrize(("form", "is_text"), [("auto", True), ("text", True), ("json", False)])
def test_a_terminal_is_spared_the_past_unless_it_asks_for_json(form: str, is_text: bool) -> None:
    end, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as out:
        log = Log(out, form, lambda lines: None)
        log.facts(FACTS)
        log.event("warning", "odd", "a message", more=1)
        log.close()
        lines = os.read(end, 10_000).decode().splitlines()
    os.close(end)
    if is_text:
        assert lines[:2] == [
            '2026-11-24 05:00:00 notes.written            #2 by me {"text":"a"}',
            '2026-11-24 06:00:00 notes.written            #3 by me {"text":"a"}',
        ]
        assert lines[2][19:] == " odd                      a message"
    else:
        assert [msgspec.json.decode(line).get("seq") for line in lines] == [1, 2, 3, None]


@pytest.mark.parametrize(("form", "is_text"), [("auto", False), ("text", True), ("json", False)])
def test_a_file_gets_json_unless_it_asks_for_text(tmp_path: Path, form: str, is_text: bool) -> None:
    with (tmp_path / "log").open("w") as out:
        log = Log(out, form, lambda lines: None)
        log.facts(FACTS)
        log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert (len(lines), lines[0].startswith("{")) == ((2, False) if is_text else (3, True))

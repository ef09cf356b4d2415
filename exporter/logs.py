"""What happens, line by line on stdout: JSON for machines, text for a terminal. A slow reader holds up nobody.

Lines wait in memory until the descriptor takes them: a pipe that is ready takes PIPE_BUF bytes without blocking.
"""

import os
from collections import deque
from collections.abc import Callable
from select import PIPE_BUF
from typing import Any, TextIO

import gevent
import msgspec
from gevent.select import select

from exporter import clock
from exporter.errors import Refusal
from exporter.ledger import Staged

HISTORY = 3_600_000  # a fact told so many milliseconds after it happened is one of the past
LIMIT = 100_000  # lines that may wait; more are dropped and counted


class Log:
    """`dropped` hears how many lines found no place."""

    def __init__(self, out: TextIO, form: str, dropped: Callable[[int], None]):
        self._descriptor = out.fileno()
        self._json = form == "json" or (form == "auto" and not out.isatty())
        self._dropped = dropped
        self._lines: deque[str] = deque()
        self._writer: Any = None

    def facts(self, written: list[tuple[int, Staged]]) -> None:
        """One line a fact. A terminal is spared those of the past: an import of history would flood it."""
        if self._json:
            self._put([self._fact_line(seq, fact) for seq, fact in written])
        else:
            fresh = [(seq, f) for seq, f in written if f.recorded_at - f.occurred_at < HISTORY]
            self._put([f"{_clock(f.occurred_at)} {f.kind:<24} #{seq} by {f.by} {f.data}" for seq, f in fresh])

    def refused(self, command: str, by: str, refusal: Refusal) -> None:
        shown = {"command": command, "by": by, "status": refusal.status, "code": refusal.code}
        self.event("warning", "refused", refusal.message, **shown)

    def event(self, level: str, event: str, message: str, **more: Any) -> None:
        now = clock.now()
        if self._json:
            line = {"time": clock.iso(now), "level": level, "event": event, "message": message} | more
            self._put([msgspec.json.encode(line).decode()])
        else:
            self._put([f"{_clock(now)} {event:<24} {message}"])

    def close(self) -> None:
        """Waits a second at most for what is still to be written."""
        writer = self._writer
        if writer:
            writer.join(1)
            writer.kill()

    def _fact_line(self, seq: int, fact: Staged) -> str:
        by = msgspec.json.encode(fact.by).decode()
        return (
            f'{{"time":"{clock.iso(fact.recorded_at)}","level":"info","event":"{fact.kind}","seq":{seq},'
            f'"occurred_at":{fact.occurred_at},"by":{by},"data":{fact.data}}}'
        )

    def _put(self, lines: list[str]) -> None:
        if len(self._lines) + len(lines) > LIMIT:
            self._dropped(len(lines))
            return
        self._lines.extend(lines)
        if not self._writer:
            self._writer = gevent.spawn(self._write)

    def _write(self) -> None:
        try:
            while self._lines:
                text = "\n".join(self._lines) + "\n"
                self._lines.clear()
                _write_all(self._descriptor, text.encode())
        except OSError:
            self._dropped(1)
        finally:
            self._writer = None


def _write_all(descriptor: int, data: bytes) -> None:
    for start in range(0, len(data), PIPE_BUF):
        select([], [descriptor], [])
        os.write(descriptor, data[start : start + PIPE_BUF])


def _clock(moment: int) -> str:
    return clock.iso(moment)[:19].replace("T", " ")

"""The only reader of the system's time."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Clock = Callable[[], int]
"""Milliseconds since the epoch, UTC. A test passes its own."""


def now() -> int:
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that never run backwards, for measuring how long something took."""
    return time.perf_counter()


def iso(moment: int) -> str:
    """2026-11-24T06:24:05.123Z"""
    return (EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> int:
    """Milliseconds of an RFC 3339 time with a zone. Raises: ValueError for anything else, a time without a zone too."""
    if not RFC_3339.fullmatch(text):
        raise ValueError("expected a time such as 2026-11-24T06:24:05Z, with its zone")
    moment = datetime.fromisoformat(text)
    return (moment - EPOCH + timedelta(microseconds=500)) // timedelta(milliseconds=1)

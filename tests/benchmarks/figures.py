"""A figure with its baseline and its aim, what is needed to work figures out, and the table that shows them."""

import os
import platform
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".bench"
DISK_WRITES = 200
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """`met` None: no aim was set, the figure is told for itself."""

    what: str
    figure: str
    baseline: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = {True: "met", False: "MISSED", None: ""}[self.met]
        return (self.what, self.figure, self.baseline, self.ratio, self.aim, met)


HEAD = ("what", "figure", "baseline", "ratio", "aim", "")
Measure = Callable[[], Iterable[Figure]]


def at_most(what: str, value: float, limit: float, unit: str, baseline: str = "", ratio: str = "") -> Figure:
    return Figure(what, f"{number(value)} {unit}", baseline, ratio, f"<= {number(limit)} {unit}", value <= limit)


def at_least(what: str, value: float, limit: float, unit: str, baseline: str = "") -> Figure:
    return Figure(what, f"{number(value)} {unit}", baseline, aim=f">= {number(limit)} {unit}", met=value >= limit)


def share_of(what: str, value: float, baseline: float, limit: float, unit: str) -> Figure:
    """A rate that is to reach a share of its baseline's."""
    ratio = value / baseline
    shown, against = f"{number(value)} {unit}", f"{number(baseline)} {unit}"
    return Figure(what, shown, against, f"{ratio:.2f}", f">= {limit} x baseline", ratio >= limit)


def times_of(what: str, value: float, baseline: float, limit: float, unit: str) -> Figure:
    """A cost that may be so many times its baseline's."""
    ratio = value / baseline
    shown, against = f"{number(value)} {unit}", f"{number(baseline)} {unit}"
    return Figure(what, shown, against, f"{ratio:.2f}", f"<= {limit} x baseline", ratio <= limit)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many of them reach at most (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.5) - 1))]


median = statistics.median


def make_cache() -> None:
    """The folder of databases, which git does not see."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")


def disk() -> list[float]:
    """Milliseconds of fdatasync after 4 KiB were added to a file where the databases lie."""
    make_cache()
    name, times = CACHE / "fdatasync.tmp", []
    descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for _ in range(DISK_WRITES):
        os.write(descriptor, bytes(4096))
        began = time.perf_counter()
        os.fdatasync(descriptor)
        times.append((time.perf_counter() - began) * 1000)
    os.close(descriptor)
    name.unlink()
    return times


def shown_disk(times: Sequence[float]) -> str:
    return f"fdatasync p50 {percentile(times, 0.5):.2f} ms, p99 {percentile(times, 0.99):.2f} ms"


def machine() -> str:
    """The machine in a line, and how busy it is with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ":").partition(":")[2]
    parts = (
        f"{os.cpu_count()} cores ({model.strip() or platform.machine()})", f"{memory:.0f} GiB",
        f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", f"Linux {platform.release()}",
        f"load {os.getloadavg()[0]:.1f} at the start",
    )  # fmt: skip
    return ", ".join(parts)


class Others:
    """How much of the machine others use from now on: noise in what is measured."""

    def __init__(self) -> None:
        self._began, self._before = time.perf_counter(), self._used()

    def share(self) -> float:
        cores = os.cpu_count() or 1
        return max(0.0, (self._used() - self._before) / cores / (time.perf_counter() - self._began))

    @staticmethod
    def _used() -> float:
        """Seconds that all cores were busy, less those of this process and of the children it has waited for."""
        busy = sum(int(_lines("/proc/stat")[0].split()[column]) for column in (1, 2, 3, 6, 7)) / TICKS
        mine = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return busy - sum(one.ru_utime + one.ru_stime for one in mine)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns for a terminal."""
    cells = [HEAD, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

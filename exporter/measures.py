"""What views are made of: counters and histograms that never fall, and durations in windows of any width.

Everything here is plain state: pure, without a clock, in memory of about 16 bytes a sample, dumped to and loaded from
bytes. Times and durations are integer milliseconds; `now` never runs backwards.
"""

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, Self

DAY = 86_400_000
HOUR = 3_600_000
_GROWTH = math.log(1.01)
_BINS = 3_000  # 1 % bins up to 290 years; what is longer counts in the last one
_EXACT = 2_000  # samples in a window that are sorted at each reading
_FEW = 64  # so many late samples are put in one by one, more are sorted in at once


def bin_of(duration: int) -> int:
    return 0 if duration < 1 else min(1 + int(math.log(duration) / _GROWTH), _BINS - 1)


def _middle(index: int) -> float:
    return 0.0 if index == 0 else math.exp((index - 0.5) * _GROWTH)


class Counter:
    """A total that may be corrected downwards; `highest` is the greatest it has been, which is what is exposed."""

    __slots__ = ("highest", "value")

    def __init__(self, value: int = 0, highest: int = 0):
        self.value, self.highest = value, highest

    def add(self, by: int) -> None:
        self.value += by
        if self.value > self.highest:
            self.highest = self.value

    def rebase(self) -> None:
        self.highest = self.value

    def dump(self) -> Any:
        return [self.value, self.highest]

    @classmethod
    def load(cls, state: Any) -> Self:
        return cls(*state)


class Buckets(NamedTuple):
    """A histogram as it was read: cumulative counts, one a bound (ms) and the whole count last, and the sum (ms)."""

    bounds: tuple[int, ...]
    cumulative: tuple[int, ...]
    total: int


class Histogram:
    """Counts by upper bound (inclusive), cumulative when read; no bucket, count or sum ever falls.

    A withdrawn sample leaves a deficit in the buckets it was counted in: the next samples fill it before they rise.
    """

    __slots__ = ("bounds", "counts", "deficits", "highest_sum", "total")

    def __init__(self, bounds: tuple[int, ...]):
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.deficits: list[int] | None = None
        self.total = self.highest_sum = 0

    def add(self, duration: int) -> None:
        at = bisect_left(self.bounds, duration)
        self.counts[at] += 1
        self.total += duration
        if self.total > self.highest_sum:
            self.highest_sum = self.total
        if self.deficits is not None:
            for index in range(at, len(self.deficits)):
                if self.deficits[index]:
                    self.deficits[index] -= 1

    def withdraw(self, duration: int) -> None:
        at = bisect_left(self.bounds, duration)
        self.counts[at] -= 1
        self.total -= duration
        if self.deficits is None:
            self.deficits = [0] * len(self.counts)
        for index in range(at, len(self.deficits)):
            self.deficits[index] += 1

    def cumulative(self) -> list[int]:
        """One count a bound and the whole count last: the greatest each has been."""
        counts = accumulate(self.counts)
        return [count + lost for count, lost in zip(counts, self.deficits or [0] * len(self.counts), strict=True)]

    def read(self) -> "Buckets":
        """What a snapshot keeps of it."""
        return Buckets(self.bounds, tuple(self.cumulative()), self.highest_sum)

    def rebase(self) -> None:
        self.deficits = None
        self.highest_sum = self.total

    def dump(self) -> Any:
        return [self.bounds, self.counts, self.deficits, self.total, self.highest_sum]

    @classmethod
    def load(cls, state: Any) -> Self:
        histogram = cls(tuple(state[0]))
        histogram.counts, histogram.deficits, histogram.total, histogram.highest_sum = state[1:]
        return histogram


class Moments:
    """A sorted multiset of times that can be counted between any two."""

    __slots__ = ("times",)

    def __init__(self, times: list[int] | None = None):
        self.times = times or []

    def add(self, moment: int) -> None:
        times = self.times
        if not times or moment >= times[-1]:
            times.append(moment)
        else:
            insort(times, moment)

    def withdraw(self, moment: int) -> None:
        """Raises: ValueError where no such moment was added."""
        index = bisect_left(self.times, moment)
        if self.times[index : index + 1] != [moment]:
            raise ValueError(f"there is no moment {moment}")
        del self.times[index]

    def until(self, moment: int) -> int:
        """How many lie at or before `moment`."""
        return bisect_right(self.times, moment)

    def dump(self) -> Any:
        return array("q", self.times).tobytes()

    @classmethod
    def load(cls, state: Any) -> Self:
        return cls(array("q", state).tolist())


class Durations:
    """Durations by the moment they ended, and what the window of `width` before now says of them.

    Edges are exact: a sample counts while now - width < moment <= now. Quantiles interpolate linearly between ranks:
    of the samples themselves while they are few, of 1 % bins (worst error 0.5 %) beyond; the mean is always exact.
    Samples that ended at or before `since` are never asked for and not kept; `keep` (at least `width`) says how far
    back `between` may ask. `bands` counts the window's durations by upper bounds (inclusive), exactly, the last count
    being of what lies above them all.
    """

    __slots__ = (
        "_bins", "_high", "_late", "_low", "_sum", "bands", "bounds", "floor", "keep", "moments", "now", "values",
        "width",
    )  # fmt: skip

    def __init__(self, width: int, since: int, keep: int = 0, bounds: tuple[int, ...] = ()):
        self.width, self.bounds = width, bounds
        self.keep = max(width, keep)
        self.floor = self.now = since - self.keep
        self.moments, self.values = array("q"), array("q")
        self._late: list[tuple[int, int]] = []
        self._clear()

    def add(self, moment: int, duration: int) -> None:
        if moment <= self.floor:
            return
        moments = self.moments
        if moment > self.now and (not moments or moment >= moments[-1]):
            moments.append(moment)
            self.values.append(duration)
        else:
            self._late.append((moment, duration))

    def withdraw(self, moment: int, duration: int) -> None:
        """Raises: ValueError where no such sample was added."""
        if self._late:
            self._settle()
        if moment <= self.floor:
            return
        index = bisect_left(self.moments, moment)
        after = bisect_right(self.moments, moment, index)
        while index < after and self.values[index] != duration:
            index += 1
        if index == after:
            raise ValueError(f"no duration of {duration} ms ended at {moment}")
        del self.moments[index], self.values[index]
        if index < self._low:
            self._low -= 1
        elif index < self._high:
            self._weigh(duration, -1)
        if index < self._high:
            self._high -= 1

    def advance(self, now: int) -> None:
        """Moves the window's end to `now` and forgets what lies more than `keep` before it."""
        if self._late:
            self._settle()
        if now > self.now:
            self.now = now
            self._slide()

    def count(self) -> int:
        return self._high - self._low

    def mean(self) -> float | None:
        return self._sum / self.count() if self.count() else None

    def quantiles(self, shares: tuple[float, ...]) -> list[float | None]:
        """Linear interpolation between ranks, in milliseconds. None: the window is empty."""
        total = self.count()
        if not total:
            return [None] * len(shares)
        at = self._exact() if total <= _EXACT else self._binned()
        found: list[float | None] = []
        for share in shares:
            position = (total - 1) * share
            rank = int(position)
            low, high = at(rank), at(min(rank + 1, total - 1))
            found.append(low + (high - low) * (position - rank))
        return found

    def _exact(self) -> Callable[[int], float]:
        return sorted(self.values[self._low : self._high]).__getitem__

    def _binned(self) -> Callable[[int], float]:
        ranks = list(accumulate(self._bins))
        return lambda rank: _middle(bisect_right(ranks, rank))

    def between(self, after: int, until: int) -> int:
        """How many ended after `after` and at or before `until`, within `keep`."""
        return bisect_right(self.moments, until) - bisect_right(self.moments, after)

    def _clear(self) -> None:
        self._bins = array("l", bytes(8 * _BINS))
        self.bands = [0] * (len(self.bounds) + 1)
        self._low = self._high = self._sum = 0

    def _weigh(self, duration: int, by: int) -> None:
        self._bins[bin_of(duration)] += by
        self.bands[bisect_left(self.bounds, duration)] += by
        self._sum += by * duration

    def _slide(self) -> None:
        moments, values, edge = self.moments, self.values, self.now - self.width
        high = bisect_right(moments, self.now, self._high)
        low = bisect_right(moments, edge, self._low)
        for index in range(max(self._high, low), high):
            self._weigh(values[index], 1)
        for index in range(self._low, min(low, self._high)):
            self._weigh(values[index], -1)
        self._low, self._high = low, high
        self._forget()

    def _forget(self) -> None:
        gone = bisect_right(self.moments, self.now - self.keep)
        if gone > 1024 and 4 * gone > len(self.moments):
            self.floor = self.now - self.keep
            del self.moments[:gone], self.values[:gone]
            self._low -= gone
            self._high -= gone

    def _settle(self) -> None:
        """Puts late samples in their place: few one by one, many by one sort."""
        late, self._late = self._late, []
        if len(late) > _FEW:
            late.extend(zip(self.moments, self.values, strict=True))
            late.sort()
            self._refill(late)
            return
        edge = self.now - self.width
        for moment, duration in late:
            index = bisect_right(self.moments, moment)
            self.moments.insert(index, moment)
            self.values.insert(index, duration)
            if moment <= edge:
                self._low += 1
            elif moment <= self.now:
                self._weigh(duration, 1)
            if moment <= self.now:
                self._high += 1

    def _refill(self, samples: list[tuple[int, int]]) -> None:
        self.moments = array("q", [moment for moment, _ in samples])
        self.values = array("q", [duration for _, duration in samples])
        self._clear()
        self._slide()

    def dump(self) -> Any:
        self._settle()
        moments, values = self.moments.tobytes(), self.values.tobytes()
        return [self.width, self.keep, self.bounds, self.floor, self.now, moments, values]

    @classmethod
    def load(cls, state: Any) -> Self:
        width, keep, bounds, floor, now, moments, values = state
        durations = cls(width, 0, keep, tuple(bounds))
        durations.floor, durations.now = floor, now
        durations.moments, durations.values = array("q", moments), array("q", values)
        durations._slide()
        return durations

"""Measures against oracles that keep every sample and ask the standard library."""

import statistics
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.measures import Counter, Durations, Histogram, Moments, bin_of

SINCE = 10_000
SHARES = (0.0, 0.25, 0.5, 0.85, 0.95, 1.0)
LONGEST = 9_000_000_000_000  # 285 years; bins end at 290

often = settings(max_examples=200, deadline=None)

Samples = list[tuple[int, int]]


def reloaded(measure: Any) -> Any:
    """As a checkpoint does it: through bytes."""
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(measure.dump()))
    return type(measure).load(state)


# --- durations ---------------------------------------------------------------------------------------------------


def interpolated(values: list[int], share: float) -> float:
    """Between ranks, as numpy does by default."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    rank = int(position)
    low, high = ordered[rank], ordered[min(rank + 1, len(ordered) - 1)]
    return low + (high - low) * (position - rank)


class Raw:
    """All that a Durations was ever told, beside it."""

    def __init__(self, width: int, keep: int, bounds: tuple[int, ...]):
        self.width, self.keep, self.bounds = width, max(width, keep), bounds
        self.floor = self.now = SINCE - self.keep
        self.samples: Samples = []
        self.measured = Durations(width, SINCE, keep, bounds)

    def add(self, ahead: int, duration: int) -> None:
        """A sample that ended `ahead` of now; late ones have it negative."""
        sample = (max(self.now, SINCE) + ahead, duration)
        self.samples.append(sample)
        self.measured.add(*sample)

    def many(self, size: int, spread: int, seed: int) -> None:
        random = Random(seed)
        for _ in range(size):
            self.add(random.randint(-spread, 3), int(10 ** random.uniform(0, 9)))

    def withdraw(self, index: int) -> None:
        if self.samples:
            self.measured.withdraw(*self.samples.pop(index % len(self.samples)))

    def advance(self, by: int) -> None:
        self.now = max(self.now, SINCE) + by
        self.measured.advance(self.now)

    def reload(self) -> None:
        self.measured = reloaded(self.measured)

    def within(self, after: int, until: int) -> list[int]:
        return [took for ended, took in self.samples if after < ended <= until and ended > self.floor]

    def compare(self) -> None:
        window, measured = self.within(self.now - self.width, self.now), self.measured
        assert measured.count() == len(window)
        assert measured.mean() == (float(statistics.mean(window)) if window else None)
        edges = pairwise((-1, *self.bounds, LONGEST))
        assert measured.bands == [sum(low < took <= high for took in window) for low, high in edges]
        for share, found in zip(SHARES, measured.quantiles(SHARES), strict=True):
            assert found == (pytest.approx(interpolated(window, share), rel=0.005) if window else None)
        for share in (0, 0.3, 0.7):
            after, until = int(self.now - self.keep * (1 - share)), int(self.now - self.keep * share / 3)
            assert measured.between(after, until) == len(self.within(after, until))


durations = st.one_of(st.integers(0, 30), st.integers(0, LONGEST))
steps = st.one_of(
    st.tuples(st.just("add"), st.integers(-450, 20), durations),
    st.tuples(st.just("add"), st.integers(-3, 3), durations),
    st.tuples(st.just("many"), st.sampled_from((66, 1100, 1600)), st.integers(0, 450), st.integers(0, 9)),
    st.tuples(st.just("withdraw"), st.integers(0, 9999)),
    st.tuples(st.just("advance"), st.one_of(st.integers(0, 30), st.integers(0, 400), st.just(900))),
    st.tuples(st.just("reload")),
)


@settings(max_examples=400, deadline=None)
@example(1, 0, (), [("add", 0, 0), ("advance", 900), ("many", 1100, 58, 0), ("withdraw", 0)])
@given(
    width=st.integers(1, 200),
    keep=st.integers(0, 400),
    bounds=st.lists(durations.filter(lambda bound: bound < LONGEST), unique=True, max_size=4).map(sorted).map(tuple),
    story=st.lists(steps, min_size=5, max_size=30),
)
def test_durations_say_what_the_raw_samples_say(
    width: int, keep: int, bounds: tuple[int, ...], story: list[tuple[Any, ...]]
) -> None:
    raw = Raw(width, keep, bounds)
    raw.advance(0)
    for step, *values in story:
        getattr(raw, step)(*values)
        if step == "advance":
            raw.compare()
    raw.advance(0)
    raw.compare()


@often
@given(samples=st.lists(st.tuples(st.integers(-300, 5), durations), max_size=90), random=st.randoms())
def test_the_order_in_which_samples_come_changes_nothing(samples: Samples, random: Random) -> None:
    told = list(samples)
    random.shuffle(told)
    one, other = Raw(100, 250, (10, 1000)), Raw(100, 250, (10, 1000))
    one.advance(0)
    for sample in samples:
        one.add(*sample)
    for sample in told:
        other.add(*sample)
    other.advance(0)
    one.advance(0)
    one.compare()
    assert one.measured.dump()[5] == other.measured.dump()[5]
    assert one.measured.quantiles(SHARES) == other.measured.quantiles(SHARES)


@pytest.mark.parametrize("late", [1, 64, 65, 300])
def test_late_samples_count_however_many_they_are(late: int) -> None:
    raw = Raw(100, 200, (5_000,))
    raw.advance(0)
    raw.many(200, 0, seed=1)
    raw.advance(50)
    raw.many(late, 250, seed=2)
    raw.advance(0)
    raw.compare()


def test_what_is_forgotten_in_the_moment_it_is_withdrawn_is_withdrawn() -> None:
    """Late samples are put in their place first, and that may be when old ones are forgotten."""
    measured = Durations(10, SINCE)
    measured.add(SINCE, 7)
    measured.advance(SINCE + 50)
    for no in range(1100):
        measured.add(SINCE + no % 20, 5)
    measured.withdraw(SINCE, 7)
    measured.advance(SINCE + 51)
    assert measured.count() == 0


def test_old_samples_are_forgotten_and_may_still_be_withdrawn() -> None:
    raw = Raw(10, 20, ())
    raw.advance(0)
    raw.many(3000, 0, seed=3)
    raw.advance(500)
    raw.add(0, 7)
    raw.advance(0)
    raw.compare()
    assert len(raw.measured.moments) == 1
    for _ in range(3000):
        raw.withdraw(0)
    raw.advance(0)
    raw.compare()


@pytest.mark.parametrize(
    ("ended", "counts"),
    [(SINCE - 100, 0), (SINCE - 99, 1), (SINCE, 1), (SINCE + 1, 0)],
)
def test_the_edges_of_a_window_are_exact(ended: int, counts: int) -> None:
    measured = Durations(100, SINCE - 500)
    measured.add(ended, 5)
    measured.advance(SINCE)
    assert measured.count() == counts


def test_now_that_runs_backwards_moves_nothing() -> None:
    measured = Durations(100, SINCE)
    measured.add(SINCE + 5, 1)
    measured.advance(SINCE + 10)
    measured.advance(SINCE + 1)
    assert measured.count() == 1


@pytest.mark.parametrize("sample", [(SINCE + 5, 2), (SINCE + 4, 1), (SINCE + 9, 1)])
def test_a_duration_that_never_came_cannot_be_withdrawn(sample: tuple[int, int]) -> None:
    measured = Durations(100, SINCE)
    measured.add(SINCE + 5, 1)
    with pytest.raises(ValueError, match=f"no duration of {sample[1]} ms ended at {sample[0]}"):
        measured.withdraw(*sample)
    measured.advance(SINCE + 20)
    assert measured.count() == 1


@given(st.integers(1, LONGEST))
def test_a_bin_is_one_percent_wide(duration: int) -> None:
    assert 1.01 ** (bin_of(duration) - 1) <= duration * (1 + 1e-9)
    assert duration <= 1.01 ** bin_of(duration) * (1 + 1e-9)


@pytest.mark.parametrize(("duration", "index"), [(-5, 0), (0, 0), (1, 1), (1 << 62, 2_999)])
def test_what_no_bin_fits_counts_in_the_first_or_last(duration: int, index: int) -> None:
    assert bin_of(duration) == index


# --- what never falls --------------------------------------------------------------------------------------------

BOUNDS = (10, 20, 40, 80)
sizes = st.one_of(st.sampled_from((0, 10, 11, 20, 80, 81)), st.integers(0, 120))


class Told:
    """A Histogram, the samples it holds, and the greatest that each of its numbers was after a fact."""

    def __init__(self) -> None:
        self.measured = Histogram(BOUNDS)
        self.samples: list[int] = []
        self.rebase()

    def numbers(self) -> list[int]:
        buckets = [sum(took <= bound for took in self.samples) for bound in BOUNDS]
        return [*buckets, len(self.samples), sum(self.samples)]

    def add(self, duration: int) -> None:
        self.samples.append(duration)
        self.measured.add(duration)

    def withdraw(self, index: int) -> None:
        if self.samples:
            self.measured.withdraw(self.samples.pop(index % len(self.samples)))

    def replace(self, index: int, duration: int) -> None:
        if self.samples:
            self.withdraw(index)
            self.add(duration)

    def rebase(self) -> None:
        self.measured.rebase()
        self.greatest = self.numbers()

    def reload(self) -> None:
        self.measured = reloaded(self.measured)

    def compare(self) -> None:
        self.greatest = list(map(max, self.greatest, self.numbers()))
        assert [*self.measured.cumulative(), self.measured.highest_sum] == self.greatest


facts = st.one_of(
    st.tuples(st.just("add"), sizes),
    st.tuples(st.just("withdraw"), st.integers(0, 99)),
    st.tuples(st.just("replace"), st.integers(0, 99), sizes),
    st.tuples(st.sampled_from(("rebase", "reload"))),
)


@often
@given(st.lists(facts, max_size=60))
def test_a_histogram_shows_the_greatest_that_each_bucket_has_been(story: list[tuple[Any, ...]]) -> None:
    told = Told()
    for step, *values in story:
        getattr(told, step)(*values)
        told.compare()


@often
@given(st.lists(st.one_of(facts, st.just(("rebase",))), max_size=40))
def test_no_bucket_is_less_than_the_one_below_it(story: list[tuple[Any, ...]]) -> None:
    told = Told()
    for step, *values in story:
        getattr(told, step)(*values)
        cumulative = told.measured.cumulative()
        assert cumulative == sorted(cumulative)


def test_after_a_rebase_a_histogram_shows_what_is_true() -> None:
    told = Told()
    for duration in (5, 15, 95):
        told.add(duration)
    told.withdraw(0)
    assert told.measured.cumulative() == [1, 2, 2, 2, 3]
    told.rebase()
    assert told.measured.cumulative() == [0, 1, 1, 1, 2]
    assert told.measured.highest_sum == 110


@often
@given(st.lists(st.one_of(st.integers(-5, 5), st.sampled_from(("rebase", "reload")))))
def test_a_counter_shows_the_greatest_it_has_been(story: list[int | str]) -> None:
    counter, value, greatest = Counter(), 0, 0
    for step in story:
        if step == "rebase":
            counter.rebase()
            greatest = value
        elif isinstance(step, int):
            counter.add(step)
            value += step
            greatest = max(greatest, value)
        else:
            counter = reloaded(counter)
        assert (counter.value, counter.highest) == (value, greatest)


# --- moments -----------------------------------------------------------------------------------------------------


@often
@given(
    story=st.lists(st.one_of(st.integers(-20, 20), st.tuples(st.integers(0, 99)), st.just("reload"))),
    asked=st.integers(-25, 25),
)
def test_moments_count_what_lies_until_a_moment(story: list[Any], asked: int) -> None:
    moments, told = Moments(), list[int]()
    for step in story:
        if isinstance(step, int):
            moments.add(step)
            told.append(step)
        elif isinstance(step, tuple) and told:
            moments.withdraw(told.pop(step[0] % len(told)))
        elif step == "reload":
            moments = reloaded(moments)
        assert moments.until(asked) == sum(one <= asked for one in told)
    assert moments.times == sorted(told)


@pytest.mark.parametrize("absent", [4, 6])
def test_a_moment_that_never_came_cannot_be_withdrawn(absent: int) -> None:
    moments = Moments()
    moments.add(5)
    with pytest.raises(ValueError, match=str(absent)):
        moments.withdraw(absent)
    assert moments.times == [5]

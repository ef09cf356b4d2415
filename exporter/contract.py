"""Everything that the author of a collector imports: the manifest, what runs in a transaction, what views are made of.

A collector is a value, COLLECTOR = Collector(...), found by its entry point. All else follows from it: REST routes and
their description, metrics, documents, the page of metrics, the command line's `collectors`. The host promises:

- a command runs in one transaction that holds the one write lock, after the guards that others put on it; whatever it
  raises leaves nothing behind; its facts get the next seqs of the ledger when it commits;
- a view is folded from facts in ledger order and never asked for anything else, so that any replica and any replay
  shows the same numbers; what it needs to remember are its annotated attributes, which the host checkpoints;
- `read` is timed; one that raises costs `tcps_collector_success` 0 for its own collector and keeps the last good
  document, marked stale, for cache_ttl;
- a manifest that can't work (an unknown fact, a guard on a command that nobody offers, a name taken twice) stops the
  start and is named.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Literal, Protocol, get_type_hints

import msgspec
from sqlalchemy import MetaData

from exporter import clock
from exporter.errors import Conflict, Invalid, LimitReached, LineStopped, Malformed, NotFound, Refusal, StartupError
from exporter.measures import DAY, HOUR, Buckets, Counter, Durations, Histogram, Moments
from exporter.paging import after, cursor
from exporter.settings import Setting, Settings
from exporter.statements import Rows, Statement
from exporter.vocabulary import stage

__all__ = [
    "DAY",
    "HOUR",
    "Actions",
    "Collector",
    "Command",
    "Conflict",
    "Counter",
    "Document",
    "Door",
    "Durations",
    "Fact",
    "FactKind",
    "Guard",
    "Histogram",
    "Invalid",
    "Job",
    "LimitReached",
    "LineStopped",
    "Malformed",
    "Metric",
    "Moments",
    "NotFound",
    "Page",
    "Query",
    "Reading",
    "Refusal",
    "Rows",
    "Setting",
    "Settings",
    "StartupError",
    "Statement",
    "Struct",
    "Transaction",
    "View",
    "after",
    "cursor",
    "moment",
    "stage",
]

SKEW = 300_000
"""How far ahead, in milliseconds, the clock of who reports may be."""


class Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request's body or query, an answer or a fact's data: unknown fields are refused, wrong types named."""


def moment(value: int | str, name: str) -> int:
    """Milliseconds of a time as requests spell it. Raises: Invalid naming the field."""
    try:
        given = clock.parse(value) if isinstance(value, str) else value
    except ValueError:
        given = -1
    if not 0 <= given < 1 << 47:
        text = f"{name}: expected milliseconds since the epoch or an RFC 3339 time with a zone, got {value!r}"
        raise Invalid(text, field=name)
    return given


class Fact(msgspec.Struct, frozen=True, gc=False):
    """What happened, once: `occurred_at` drives every number, `recorded_at` tells when it was known (both ms)."""

    seq: int
    kind: str
    occurred_at: int
    recorded_at: int
    by: str
    data: Any


@dataclass(frozen=True)
class FactKind:
    """A kind of fact, in the past tense. `channel` and `event` say where streams show it and by which name.

    `rebases`: whether such a fact ends an import of history, after which counters may fall once to their true value.
    """

    name: str
    data: type[msgspec.Struct]
    summary: str
    channel: str
    event: str
    rebases: Callable[[Any], bool] | None = None


class Transaction(Rows):
    """The inside of a command: statements by `one`, `all`, `value`, `run`, `many`, facts by `emit`."""

    settings: Settings
    now: int
    by: str

    def emit(self, kind: str, data: msgspec.Struct, occurred_at: int) -> None:
        raise NotImplementedError

    def guard(self, command: str, subject: Mapping[str, Any]) -> None:
        """Asks the guards that other collectors put on this command. Raises: their refusal."""
        raise NotImplementedError

    def call(self, command: str, body: msgspec.Struct | Mapping[str, Any]) -> Any:
        """Another command, in this transaction."""
        raise NotImplementedError

    def happened(self, occurred_at: int | str | None, name: str = "occurred_at") -> int:
        """The event time that was given, now if none was. Raises: Invalid when it lies more than 5 min ahead."""
        if occurred_at is None:
            return self.now
        given = moment(occurred_at, name)
        if given > self.now + SKEW:
            raise Invalid(f"{name}: expected a time that has come, got {clock.iso(given)}", field=name)
        return given


@dataclass(frozen=True)
class Command:
    """What changes something. `path` makes it a route, its {names} filling fields of the body; without, it is internal.

    `errors` are the codes it may refuse with, as (status, code), for the description of the API. `location` gives the
    Location of what was created, from the result.
    """

    name: str
    run: Callable[[Any, Any], Any]
    body: type[msgspec.Struct]
    summary: str
    method: str = "POST"
    path: str | None = None
    result: Any = None
    status: int = 200
    errors: tuple[tuple[int, str], ...] = ()
    location: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Query:
    """A resource read from the tables, true at once. `params` are the path's names and the query string's.

    Without a `path` it is for other queries, which ask for it by its name.
    """

    name: str
    run: Callable[[Any, Any], Any]
    params: type[msgspec.Struct]
    summary: str
    path: str | None
    result: Any
    errors: tuple[tuple[int, str], ...] = ()


class Page(Protocol):
    """What a query is given beside its parameters. Its rows are one consistent look."""

    rows: Rows
    settings: Settings
    now: int

    def ask(self, query: str, **params: Any) -> Any:
        """What another query answers, in the same look."""
        ...


@dataclass(frozen=True)
class Guard:
    """A say in another collector's command: `check(tx, subject)` raises a refusal. Guards run by their errors' rank."""

    command: str
    check: Callable[[Transaction, Mapping[str, Any]], None]
    raises: type[Refusal]


@dataclass(frozen=True)
class Metric:
    """A family of /metrics, spelled as exposed. `process` ones are tallied by the process and start at 0 with it.

    `starts` gives the label sets that a process counter shows before anything was counted. `bounds` are a histogram's
    upper bounds in milliseconds; it is exposed in seconds. `alias` is a second, untyped name.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()
    process: bool = False
    starts: Callable[[Settings], Iterable[tuple[str, ...]]] | None = None
    alias: str | None = None


Values = float | int | None | Mapping[Any, float | int | None] | Mapping[Any, Buckets]


@dataclass(frozen=True)
class Reading:
    """What a view says at one moment: its document, and the values of its metrics by name.

    A value is a number, or a mapping of label values to numbers (histograms: to Buckets). None: nothing measured.
    """

    document: msgspec.Struct | dict[str, Any] | None = None
    values: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """/api/metrics/<collector's name>. `window` names the setting behind window_seconds; `shape` is its type."""

    shape: Any
    window: str | None = None


class View:
    """A fold of facts. Subclasses annotate the attributes they remember and list `handlers()` by kind of fact.

    `version` changes whenever the same facts fold into another state: checkpoints of other versions are not loaded.
    """

    version: ClassVar[int] = 1

    def __init__(self, settings: Settings, since: int):
        """`since`: nobody will ask for a moment before it, so windows need not keep what had left them by then."""

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        raise NotImplementedError

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        """The numbers at `now`; `documents` holds those of the collectors that the manifest `joins`."""
        raise NotImplementedError

    def rebase(self) -> None:
        """Lets counters and histograms fall to their true values, after an import of history."""
        for name in _state(type(self)):
            for measure in _measures(getattr(self, name)):
                measure.rebase()

    def dump(self) -> bytes:
        state = {name: getattr(self, name) for name in _state(type(self))}
        return msgspec.msgpack.encode(state, enc_hook=lambda measure: measure.dump())

    def load(self, state: bytes) -> None:
        """Raises: msgspec.DecodeError when the state is not this view's."""
        raw = msgspec.msgpack.decode(state, type=dict[str, msgspec.Raw])
        for name, kind in _state(type(self)).items():
            value = msgspec.msgpack.decode(raw[name], type=kind, dec_hook=lambda kind, value: kind.load(value))
            setattr(self, name, value)


def _state(view: type[View]) -> dict[str, Any]:
    hints = get_type_hints(view)
    return {name: kind for name, kind in hints.items() if getattr(kind, "__origin__", None) is not ClassVar}


def _measures(value: Any) -> Iterable[Any]:
    values = value.values() if isinstance(value, dict) else (value,)
    return (one for one in values if hasattr(one, "rebase"))


class Actions(Protocol):
    """What doors and jobs are given: commands by name, each in a transaction of its own unless given together."""

    settings: Settings

    def now(self) -> int: ...
    def call(self, command: str, body: Mapping[str, Any] | msgspec.Struct, by: str) -> Any: ...
    def call_all(self, calls: list[tuple[str, Mapping[str, Any]]], by: str) -> list[Any]:
        """Several commands in one transaction, one after the other; the first refusal undoes them all."""
        ...

    def ask(self, query: str, **params: Any) -> Any:
        """What a query answers, by its name."""
        ...

    def read(self) -> Any:
        """Rows of a read-only connection, for one look without waiting."""
        ...


@dataclass(frozen=True)
class Door:
    """A foreign format that is translated into commands: POST /api/ingest/<name> and `import <name>`.

    `run(actions, file, options, by)` reads `file` in pieces and returns `result`; `options` come from the query string
    or from flags of the same names.
    """

    name: str
    summary: str
    options: type[msgspec.Struct]
    run: Callable[[Actions, BinaryIO, Any, str], Any]
    result: type[msgspec.Struct]
    example: str = ""


@dataclass(frozen=True)
class Job:
    """Work that time calls for: `start(actions)` gives what is called every `every` ms. None: nothing to do."""

    name: str
    every: int
    start: Callable[[Actions], Callable[[], None] | None]


@dataclass(frozen=True)
class Collector:
    """The manifest of one subsystem. `reads` are the kinds of others' facts that its view folds."""

    name: str
    summary: str
    tables: MetaData | None = None
    facts: tuple[FactKind, ...] = ()
    reads: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    queries: tuple[Query, ...] = ()
    guards: tuple[Guard, ...] = ()
    view: type[View] | None = None
    document: Document | None = None
    metrics: tuple[Metric, ...] = ()
    settings: tuple[Setting, ...] = ()
    doors: tuple[Door, ...] = ()
    jobs: tuple[Job, ...] = ()
    prepare: Callable[[Transaction], None] | None = None
    """Runs at each start, in a transaction, before anything is served. Raises: StartupError."""

"""The views, folded from the ledger in its order and checkpointed, so that a start need only fold the tail."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import msgspec
import sqlalchemy as sa

from exporter.clock import Clock
from exporter.contract import Fact, View
from exporter.errors import StartupError
from exporter.ledger import AFTER, TABLES, Ledger
from exporter.registry import Registry
from exporter.settings import Settings
from exporter.statements import Rows, Statement
from exporter.store import Store

CHECKPOINT = sa.Table(
    "checkpoint",
    TABLES,
    sa.Column("collector", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
_kept = (CHECKPOINT.c.collector, CHECKPOINT.c.version, CHECKPOINT.c.seq, CHECKPOINT.c.state)
READ_CHECKPOINTS = Statement(sa.select(*_kept))
DROP_CHECKPOINTS = Statement(sa.delete(CHECKPOINT))
KEEP_CHECKPOINT = Statement(sa.insert(CHECKPOINT))

PAGE = 4000  # facts folded before others are let run
EVERY_FACTS = 50_000

Handler = Callable[[Fact], None]
Failed = Callable[[str, Exception, Fact], None]


class LedgerGap(Exception):
    """A fact is missing or can't be read: the numbers would be wrong, so folding stops."""


class Fold:
    """Every collector's view at one seq. A view that raises is set aside and named in `broken`; the others go on."""

    def __init__(
        self, registry: Registry, store: Store, ledger: Ledger, settings: Settings, now: Clock, failed: Failed
    ):
        self._registry, self._store, self._ledger = registry, store, ledger
        self._settings, self._now, self._failed = settings, now, failed
        self.seq = self._kept_seq = 0
        self.broken: dict[str, str] = {}
        self._begin()

    def _begin(self) -> None:
        since = self._now()
        self.views = {c.name: c.view(self._settings, since) for c in self._registry if c.view}
        self._owners = {id(view): name for name, view in self.views.items()}
        self._handlers: dict[str, list[Handler]] = {kind: [] for kind in self._registry.facts}
        for collector in self._registry:
            if collector.view:
                wanted = set(collector.reads) | {kind.name for kind in collector.facts}
                for kind, handler in self.views[collector.name].handlers().items():
                    if kind not in wanted:
                        raise StartupError(f"{collector.name} folds {kind} without reading it in its manifest")
                    self._handlers[kind].append(handler)
        for kind, declared in self._registry.facts.items():
            if declared.rebases:
                self._handlers[kind].append(self._rebase)

    def load(self) -> None:
        """Takes up the checkpoints, if each view has one of its version; otherwise all begin at the first fact."""
        with self._store.read() as rows:
            kept = {row.collector: row for row in rows.all(READ_CHECKPOINTS)}
        seqs = {row.seq for row in kept.values()}
        if not set(self.views) <= set(kept) or len(seqs) != 1 or max(seqs) > self._ledger.head:
            return
        if any(kept[name].version != self._version(view) for name, view in self.views.items()):
            return
        try:
            for name, view in self.views.items():
                view.load(zlib.decompress(kept[name].state))
        except (msgspec.MsgspecError, zlib.error, LookupError, TypeError, ValueError):
            self._begin()
            return
        self.seq = self._kept_seq = seqs.pop()

    def catch_up(self) -> None:
        """Folds up to the ledger's head, letting others run between pages. Raises: LedgerGap."""
        while self.seq < self._ledger.head:
            self._fold(self._page())
            if self.seq < self._ledger.head:
                gevent.sleep(1e-6)  # not 0: who waits for a socket is served only when the loop comes to rest

    def checkpoint(self) -> None:
        """Keeps the views' state, if anything was folded since. A broken view's state is not kept."""
        if self.seq == self._kept_seq or self.broken:
            return
        seq = self.seq
        kept = [
            {"collector": name, "version": self._version(view), "seq": seq, "state": zlib.compress(view.dump(), 1)}
            for name, view in self.views.items()
        ]

        def write(rows: Rows) -> None:
            rows.run(DROP_CHECKPOINTS)
            rows.many(KEEP_CHECKPOINT, kept)

        self._store.write(write)
        self._kept_seq = seq

    @property
    def due(self) -> bool:
        """Whether so many facts were folded since the last checkpoint that a new one is worth its bytes."""
        return self.seq - self._kept_seq >= EVERY_FACTS

    def _version(self, view: View) -> str:
        """What a checkpoint must have been made with: the view's version, the windows and the names of the buckets."""
        return f"{view.version} {self._settings.fingerprint(['windows'])} {','.join(self._settings.table('buckets'))}"

    def _page(self) -> list[tuple[Any, ...]]:
        with self._store.read() as rows:
            rows.run(AFTER, after=self.seq, size=PAGE)
            return rows.cursor.fetchall()

    def _fold(self, page: list[tuple[Any, ...]]) -> None:
        handlers, decode = self._handlers, self._ledger.decode
        for row in page:
            seq, kind = row[0], row[1]
            if seq != self.seq + 1:
                raise LedgerGap(f"fact {self.seq + 1} is missing in the ledger, {seq} comes next")
            concerned = handlers.get(kind)
            if concerned:
                try:
                    fact = decode(row)
                except msgspec.MsgspecError as error:
                    raise LedgerGap(f"fact {seq} ({kind}) can't be read: {error}") from error
                each = iter(concerned)
                for handler in each:
                    try:
                        handler(fact)
                    except Exception as error:
                        self._set_aside(handler, error, fact)
            self.seq = seq
        if not page:
            raise LedgerGap(f"fact {self.seq + 1} is missing in the ledger, whose head is {self._ledger.head}")

    def _set_aside(self, handler: Handler, error: Exception, fact: Fact) -> None:
        view = handler.__self__  # type: ignore[attr-defined]
        if view is self:
            raise error
        name = self._owners[id(view)]
        self.broken[name] = f"{type(error).__name__}: {error}"
        for kind, each in self._handlers.items():
            # new lists: the old one is being walked through
            self._handlers[kind] = [one for one in each if one.__self__ is not view]  # type: ignore[attr-defined]
        self._failed(name, error, fact)

    def _rebase(self, fact: Fact) -> None:
        rebases = self._registry.facts[fact.kind].rebases
        if rebases and rebases(fact.data):
            for view in self._views():
                view.rebase()

    def _views(self) -> Iterator[View]:
        return (view for name, view in self.views.items() if name not in self.broken)

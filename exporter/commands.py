"""Commands by name: one path for REST, sockets, doors, jobs and the command line; one validation, one transaction."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import sqlalchemy as sa
from gevent.lock import RLock

from exporter.clock import Clock
from exporter.contract import DAY, Command, Transaction
from exporter.errors import Invalid, Refusal
from exporter.ledger import TABLES, Ledger, Staged
from exporter.parsing import convert
from exporter.registry import Registry
from exporter.settings import Settings
from exporter.statements import Rows, Statement
from exporter.store import Store

ANSWER = sa.Table(
    "idempotent_answer",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)
FIND_ANSWER = Statement(
    sa.select(ANSWER.c.digest, ANSWER.c.status, ANSWER.c.answer).where(
        ANSWER.c.key == sa.bindparam("k"), ANSWER.c.at >= sa.bindparam("since")
    )
)
KEEP_ANSWER = Statement(sa.insert(ANSWER))
FORGET_ANSWERS = Statement(sa.delete(ANSWER).where(ANSWER.c.at < sa.bindparam("before")))
REPEATABLE = (409, 423)
"""Refusals that a key repeats; others were not looked at, so trying again is right."""

Heard = Callable[[str, str, Refusal], None]


class Answer(msgspec.Struct):
    """What a command came to: a status and its JSON, so that a key can repeat it to the letter."""

    status: int
    body: bytes
    location: str | None = None
    repeated: bool = False


class Commands:
    """`refused` hears (command, by, refusal) of whatever was not carried out."""

    def __init__(
        self, registry: Registry, store: Store, ledger: Ledger, settings: Settings, now: Clock, refused: Heard
    ):
        self._commands, self._guards = registry.commands, registry.guards
        self._store, self._ledger = store, ledger
        self.settings, self.now = settings, now
        self._refused = refused
        self._running: WeakValueDictionary[str, RLock] = WeakValueDictionary()

    def call(self, name: str, body: Mapping[str, Any] | msgspec.Struct, by: str) -> Any:
        """The command's result, once it is on disk. Raises: Refusal; then nothing was changed."""
        return self.call_all([(name, body)], by)[0]

    def call_all(self, calls: list[tuple[str, Mapping[str, Any] | msgspec.Struct]], by: str) -> list[Any]:
        """Several in one transaction: all of them, or with the first refusal none."""

        def work(rows: Rows) -> list[Any]:
            transaction = _Transaction(rows, self, by)
            results = [transaction.perform(name, body) for name, body in calls]
            self._ledger.stage(transaction.facts)
            return results

        return self._write(calls[0][0], by, work)  # type: ignore[no-any-return]

    def answer(self, name: str, body: Mapping[str, Any], by: str, key: str | None) -> Answer:
        """As `call`, but encoded, and with a key (kept 24 h) the first answer again."""
        command = self._commands[name]
        if key is None:
            return _answer(command, self.call(name, body, by))
        digest = _digest([name, body])
        outcome = self._write(name, by, lambda rows: self._once(rows, command, body, by, f"{by}\n{key}", digest))
        if isinstance(outcome, Refusal):
            self._refused(name, by, outcome)
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def answer_once(self, request: str, answer: Callable[[], bytes], by: str, key: str | None) -> bytes:
        """What takes more than one transaction, such as a door: with a key the first answer again, once it is done."""
        if key is None:
            return answer()
        name, digest = f"{by}\n{key}", _digest(request)
        with self._running.setdefault(name, RLock()):
            with self._store.read() as rows:
                known = _recall(rows, name, digest, self.now())
            if known is None:
                known = Answer(200, answer())
                kept = known
                self._write(request, by, lambda rows: _keep(rows, name, digest, kept, self.now()))
        if isinstance(known, Refusal):
            raise known
        return known.body

    def prepare(self, works: list[Callable[[Transaction], None]], by: str) -> None:
        """What collectors do at a start, in one transaction."""

        def work(rows: Rows) -> None:
            transaction = _Transaction(rows, self, by)
            for each in works:
                each(transaction)
            self._ledger.stage(transaction.facts)

        self._store.write(work)

    def rehearse(self, works: list[Callable[[Transaction], None]]) -> None:
        """As `prepare`, to hear what it says; nothing stays written. Raises: what one of them raises."""

        def work(rows: Rows) -> None:
            for each in works:
                each(_Transaction(rows, self, "check"))
            raise _Rehearsed

        with suppress(_Rehearsed):
            self._store.write(work)

    def _write(self, name: str, by: str, work: Callable[[Rows], Any]) -> Any:
        try:
            return self._store.write(work)
        except Refusal as refusal:
            self._refused(name, by, refusal)
            raise

    def _once(
        self, rows: Rows, command: Command, body: Mapping[str, Any], by: str, key: str, digest: str
    ) -> Answer | Refusal:
        known = _recall(rows, key, digest, self.now())
        if known is not None:
            return known
        transaction = _Transaction(rows, self, by)
        rows.cursor.execute("SAVEPOINT attempt")
        try:
            answer: Answer | Refusal = _answer(command, transaction.perform(command.name, body))
        except Refusal as refusal:
            if refusal.status not in REPEATABLE:
                raise
            rows.cursor.execute("ROLLBACK TO attempt")
            answer = refusal
        else:
            self._ledger.stage(transaction.facts)
        _keep(rows, key, digest, answer, self.now())
        return answer

    def parse(self, name: str, body: Mapping[str, Any] | msgspec.Struct) -> tuple[Command, Any]:
        command = self._commands[name]
        return command, body if isinstance(body, command.body) else convert(body, command.body)  # type: ignore[arg-type]

    def ask(self, transaction: Transaction, command: str, subject: Mapping[str, Any]) -> None:
        for guard in self._guards.get(command, ()):
            guard.check(transaction, subject)


class _Rehearsed(Exception):
    """Undoes what was only tried."""


class _Transaction(Transaction):
    def __init__(self, rows: Rows, commands: Commands, by: str):
        super().__init__(rows.cursor, rows.dialect)
        self._commands = commands
        self.settings, self.now, self.by = commands.settings, commands.now(), by
        self.facts: list[Staged] = []

    def emit(self, kind: str, data: msgspec.Struct, occurred_at: int) -> None:
        self.facts.append(Staged(kind, occurred_at, self.now, self.by, msgspec.json.encode(data).decode()))

    def guard(self, command: str, subject: Mapping[str, Any]) -> None:
        self._commands.ask(self, command, subject)

    def perform(self, command: str, body: msgspec.Struct | Mapping[str, Any]) -> Any:
        known, given = self._commands.parse(command, body)
        return known.run(self, given)

    def call(self, command: str, body: msgspec.Struct | Mapping[str, Any]) -> Any:
        """Its caller may go on after a refusal, so what it wrote until then is undone."""
        facts = len(self.facts)
        self.cursor.execute("SAVEPOINT nested")
        try:
            result = self.perform(command, body)
        except Refusal:
            self.cursor.execute("ROLLBACK TO nested")
            self.cursor.execute("RELEASE nested")
            del self.facts[facts:]
            raise
        self.cursor.execute("RELEASE nested")  # not after a fault, which may have ended the transaction
        return result


class _Kept(msgspec.Struct, omit_defaults=True):
    """An answer as it is kept: either a body, or a refusal."""

    body: msgspec.Raw = msgspec.Raw(b"null")
    location: str | None = None
    code: str | None = None
    message: str = ""
    field: str | None = None
    details: dict[str, Any] = {}


def _keep(rows: Rows, key: str, digest: str, answer: Answer | Refusal, now: int) -> None:
    if isinstance(answer, Refusal):
        kept = _Kept(code=answer.code, message=answer.message, field=answer.field, details=answer.details)
    else:
        kept = _Kept(body=msgspec.Raw(answer.body), location=answer.location)
    text = msgspec.json.encode(kept).decode()
    rows.run(FORGET_ANSWERS, before=now - DAY)
    rows.run(KEEP_ANSWER, key=key, digest=digest, status=answer.status, answer=text, at=now)


def _recall(rows: Rows, key: str, digest: str, now: int) -> Answer | Refusal | None:
    """Raises: Invalid where the key came with another request before."""
    row = rows.one(FIND_ANSWER, k=key, since=now - DAY)
    if row is None:
        return None
    if row.digest != digest:
        message = "Idempotency-Key: this key came with another request before"
        raise Invalid(message, field="Idempotency-Key", code="idempotency_key_reused")
    kept = msgspec.json.decode(row.answer, type=_Kept)
    if kept.code is None:
        return Answer(row.status, bytes(kept.body), kept.location, repeated=True)
    refusal = Refusal(kept.message, code=kept.code, field=kept.field, details=kept.details)
    refusal.status = row.status
    return refusal


def _digest(request: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()


def _answer(command: Command, result: Any) -> Answer:
    location = command.location(result) if command.location else None
    return Answer(command.status, msgspec.json.encode(result), location)

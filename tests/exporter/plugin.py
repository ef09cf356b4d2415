"""A plugin that writes notes: each a row and a fact, or a refusal after both."""

from typing import Any

import msgspec

from exporter.contract import Collector, Command, FactKind, LimitReached, LineStopped, Struct, Transaction
from exporter.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from exporter.ledger import AFTER
from tests.exporter.notes import sql
from tests.line import Line

REFUSALS: dict[str, Refusal] = {
    "conflict": Conflict("busy: Straße", code="busy", field="text", details={"n": 1, "names": ["a", "b"], "at": None}),
    "limit": LimitReached("full", code="full"),
    "stopped": LineStopped("stopped by AND-1", details={"andons": ["AND-1"]}),
    "invalid": Invalid("text: expected better", field="text"),
    "missing": NotFound("there is no such thing", field="id"),
    "later": Unavailable("later"),
}


class Write(Struct):
    text: str
    refusal: str | None = None


class Written(msgspec.Struct):
    text: str


def write(tx: Transaction, body: Write) -> dict[str, Any]:
    tx.emit("notes.written", Written(body.text), tx.now)
    sql("INSERT INTO note VALUES (?)", body.text)(tx)
    if body.refusal:
        raise REFUSALS[body.refusal]
    return {"text": body.text, "at": tx.now, "by": tx.by}


def guarded(tx: Transaction, body: Write) -> str:
    tx.guard("notes.guarded", {"text": body.text})
    return body.text


def forward(tx: Transaction, body: Write) -> list[Any]:
    tx.emit("notes.written", Written("first"), tx.now)
    nested = tx.call("notes.write", Write(text=body.text))
    return [nested, tx.call("notes.write", {"text": f"{body.text}, last", "refusal": body.refusal})["text"]]


def tolerate(tx: Transaction, body: Write) -> str:
    """Goes on although what it called was refused."""
    try:
        tx.call("notes.write", body)
    except Refusal as refusal:
        tx.emit("notes.written", Written(f"refused: {refusal.code}"), tx.now)
    return "done"


NOTES = Collector(
    name="notes",
    summary="Notes.",
    facts=(FactKind("notes.written", Written, "A note was written.", "notes", "note"),),
    commands=(
        Command(
            "notes.write", write, Write, "Writes.", status=201, location=lambda note: f"/notes/{note['text']}"
        ),
        Command("notes.guarded", guarded, Write, "Writes, if nobody minds."),
        Command("notes.forward", forward, Write, "Writes several."),
        Command("notes.tolerate", tolerate, Write, "Writes, or says why not."),
    ),
)  # fmt: skip


def told(line: Line) -> list[str]:
    """The texts of the notes, as the ledger has them."""
    with line.service.read() as rows:
        facts = [line.service.ledger.decode(row) for row in rows.all(AFTER, after=0, size=10_000)]
    return [fact.data.text for fact in facts if fact.kind == "notes.written"]


def kept(line: Line) -> list[str]:
    """The texts of the notes, as the tables have them."""
    with line.service.read() as rows:
        return [text for (text,) in sql("SELECT text FROM note ORDER BY rowid")(rows)]

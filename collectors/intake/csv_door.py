"""The door for CSV: a wide table with a row an item, or an event log with a row an event.

Rows are independent: good ones land, bad ones are reported with their line and change nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, BinaryIO, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

from collectors.intake.tables import Rows, readable
from exporter.contract import Actions, Conflict, Invalid, Struct

BATCH = 250
REPORTED = 1000
AHEAD = 300_000
WHAT = {
    "queued": "queued", "blocked": "blocked", "in_progress": "started", "completed": "completed",
    "cancelled": "cancelled",
}  # fmt: skip
WIDE = ("id", "bucket", "priority", "created_at", "started_at", "completed_at", "status", "sku_id")
NUMBERS = tuple(map(str, range(1, 11)))
PRIORITIES = ("low", "medium", "high", "critical")


class Options(Struct):
    """With `activity` the file is an event log, without it a wide table with the columns
    id, bucket, priority, created_at, started_at, completed_at, status, sku_id."""

    item: Annotated[str, Meta(description="event log: the column that names the item")] = "id"
    activity: Annotated[str | None, Meta(description="event log: the column of the activity")] = None
    time: Annotated[str, Meta(description="event log: the column of the time")] = "timestamp"
    map: Annotated[list[str], Meta(description="ACTIVITY=STATUS, again for each activity that changes the status")] = []
    bucket: Annotated[str | None, Meta(description="the bucket of new items; the first one if none is given")] = None
    bucket_column: Annotated[str | None, Meta(description="the column that names the bucket")] = None
    timezone: Annotated[str | None, Meta(description="of times that have no zone, such as Europe/Rome")] = None
    dry_run: Annotated[bool, Meta(description="reads and checks all, changes nothing")] = False


class Rejected(Struct):
    line: int
    field: str
    message: str


class Imported(Struct):
    """`facts` were new, `duplicates` known already; of `rejected` rows the first thousand are told."""

    outcome: str
    reason: str
    facts: int
    duplicates: int
    rejected_rows: int
    rejected: list[Rejected]


class Row(NamedTuple):
    """A row that was understood: its line, and what work_orders.record takes."""

    line: int
    kind: str
    value: dict[str, Any]


class _Bad(Exception):
    """A row that can't be understood, and the column that says why."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field, self.message = field, message


def run(actions: Actions, file: BinaryIO, options: Options, by: str) -> Imported:
    """Raises: Malformed or Invalid for a file or options that make no sense; then nothing was stored."""
    result = Imported(outcome="accepted", reason="", facts=0, duplicates=0, rejected_rows=0, rejected=[])
    with readable(file) as rows:
        _read(actions, rows, options, by, result)
    return _finish(actions, result, options, by)


def _read(actions: Actions, rows: Rows, options: Options, by: str, result: Imported) -> None:
    understand = (_log if options.activity else _wide)(rows, options, _Reader(actions, options))
    batch: list[Row] = []
    for line, values in rows:
        try:
            batch.append(understand(line, values))
        except _Bad as bad:
            _reject(result, line, bad.field, bad.message)
        except IndexError:
            _reject(result, line, rows.columns[-1], f"expected {len(rows.columns)} columns, got {len(values)}")
        if len(batch) == BATCH:
            _take(actions, batch, result, options, by)
            batch.clear()
    _take(actions, batch, result, options, by)


class _Reader:
    """What the cells of a row mean."""

    def __init__(self, actions: Actions, options: Options):
        self._latest = actions.now() + AHEAD
        self.buckets = actions.settings.table("buckets")
        try:
            self._zone = ZoneInfo(options.timezone) if options.timezone else None
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"timezone: expected a name such as Europe/Rome or UTC, got {options.timezone!r}"
            raise Invalid(message, field="timezone") from error

    def time(self, text: str, field: str) -> int:
        try:
            moment = int(text) if text.isascii() and text.isdigit() else self._parse(text)
        except (ValueError, OverflowError):
            raise _Bad(field, f"expected an ISO 8601 time or milliseconds since the epoch, got {text!r}") from None
        if not 0 <= moment <= self._latest:
            raise _Bad(field, f"expected a time since 1970 that has come, got {text!r}")
        return moment

    def _parse(self, text: str) -> int:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            if self._zone is None:
                raise _Bad("timezone", f"{text!r} has no zone; say which one is meant by timezone (--timezone)")
            moment = moment.replace(tzinfo=self._zone)
        return round(moment.timestamp() * 1000)

    def item(self, text: str, field: str) -> str:
        if not text or len(text) > 200:
            raise _Bad(field, f"expected 1 to 200 characters, got {len(text)}")
        return text

    def bucket(self, text: str | None, field: str) -> str | None:
        if text and text not in self.buckets:
            raise _Bad(field, f"expected one of {', '.join(self.buckets)}, got {text!r}")
        return text or None


def _log(rows: Rows, options: Options, reader: _Reader) -> Callable[[int, Sequence[str]], Row]:
    """Reads a row of an event log."""
    statuses = dict(_mapping(options.map))
    item = rows.column(options.item, "item")
    activity = rows.column(options.activity or "", "activity")
    time = rows.column(options.time, "time")
    own_bucket = rows.column(options.bucket_column, "bucket_column") if options.bucket_column else None
    default = _option_bucket(reader, options)
    unnamed = default or next(iter(reader.buckets))

    def understand(line: int, values: Sequence[str]) -> Row:
        doing = values[activity]
        name = reader.item(values[item], options.item)
        bucket = default
        if own_bucket is not None:
            bucket = reader.bucket(values[own_bucket], options.bucket_column or "") or unnamed
        at = reader.time(values[time], options.time)
        what = WHAT[statuses[doing]] if doing in statuses else "noted"
        entry = {"item": name, "at": at, "what": what, "activity": doing, "bucket": bucket}
        return Row(line, "entries", entry)

    return understand


def _wide(rows: Rows, options: Options, reader: _Reader) -> Callable[[int, Sequence[str]], Row]:
    """Reads a row of a wide table."""
    for needed in ("id", "created_at"):
        rows.column(needed, "file")
    unknown = [column for column in rows.columns if column not in (*WIDE, options.bucket_column)]
    if unknown:
        hint = "give activity for an event log"
        raise Invalid(f"file: expected columns of {', '.join(WIDE)}, got {', '.join(unknown)}; {hint}", field="file")
    default = _option_bucket(reader, options)

    def understand(line: int, values: Sequence[str]) -> Row:
        if len(values) != len(rows.columns):
            raise IndexError
        cells = {name: value for name, value in zip(rows.columns, values, strict=True) if value}
        bucket = reader.bucket(cells.get(options.bucket_column or "bucket"), "bucket") or default
        whole: dict[str, Any] = {"item": reader.item(cells.get("id", ""), "id"), "bucket": bucket}
        for name in ("created_at", "started_at", "completed_at"):
            if name in cells or name == "created_at":
                whole[name] = reader.time(cells.get(name, ""), name)
        if "priority" in cells:
            whole["priority"] = _priority(cells["priority"])
        if "sku_id" in cells:
            whole["sku_id"] = reader.item(cells["sku_id"], "sku_id")
        if "status" in cells:
            whole |= _status(cells["status"], whole)
        return Row(line, "wholes", whole)

    return understand


def _status(status: str, whole: dict[str, Any]) -> dict[str, Any]:
    """The status of a wide row, which its times must bear out."""
    if status not in WHAT:
        raise _Bad("status", f"expected one of {', '.join(WHAT)}, got {status!r}")
    needed = {"in_progress": "started_at", "completed": "completed_at"}.get(status)
    if needed and needed not in whole:
        raise _Bad(needed, f"a row that is {status} needs {needed}")
    denied = {"queued": ("started_at", "completed_at"), "blocked": ("started_at", "completed_at")}.get(status, ())
    for name in denied:
        if name in whole:
            raise _Bad("status", f"a row that is {status} can't have {name}")
    if status == "cancelled":
        times = [whole[name] for name in ("created_at", "started_at", "completed_at") if name in whole]
        return {"status": status, "cancelled_at": max(times)}
    return {"status": status}


def _priority(text: str) -> int | str:
    if text in NUMBERS:
        return int(text)
    if text not in PRIORITIES:
        raise _Bad("priority", f"expected one of {', '.join(PRIORITIES)} or 1 to 10, got {text!r}")
    return text


def _mapping(pairs: list[str]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        activity, equals, status = pair.rpartition("=")
        if not equals or status not in WHAT:
            message = f"map: expected ACTIVITY=STATUS with one of {', '.join(WHAT)}, got {pair!r}"
            raise Invalid(message, field="map")
        yield activity, status


def _option_bucket(reader: _Reader, options: Options) -> str | None:
    try:
        return reader.bucket(options.bucket, "bucket")
    except _Bad as bad:
        raise Invalid(f"bucket: {bad.message}", field="bucket") from bad


def _take(actions: Actions, batch: list[Row], result: Imported, options: Options, by: str) -> None:
    """Records a batch in one commit; where one of its rows is refused, each by itself."""
    if not batch:
        return
    if options.dry_run:
        result.facts += len(batch)
        return
    try:
        recorded = actions.call("work_orders.record", _record(batch), by)
    except (Invalid, Conflict) as refusal:
        if len(batch) == 1:
            _reject(result, batch[0].line, refusal.field or "", refusal.message)
            return
        for row in batch:
            _take(actions, [row], result, options, by)
        return
    result.facts += recorded.accepted
    result.duplicates += recorded.duplicates


def _record(batch: list[Row]) -> dict[str, Any]:
    return {
        "entries": [row.value for row in batch if row.kind == "entries"],
        "wholes": [row.value for row in batch if row.kind == "wholes"],
    }


def _reject(result: Imported, line: int, field: str, message: str) -> None:
    result.rejected_rows += 1
    if len(result.rejected) < REPORTED:
        result.rejected.append(Rejected(line=line, field=field, message=message))


def _finish(actions: Actions, result: Imported, options: Options, by: str) -> Imported:
    if options.dry_run:
        result.reason = "dry run: nothing was changed"
        result.outcome = "ignored"
        return result
    counts = {"accepted": result.facts, "duplicates": result.duplicates, "rejected": result.rejected_rows}
    if any(counts.values()):
        actions.call("intake.finish_import", {"source": "csv", **counts}, by)
    if not result.facts:
        result.outcome = "duplicate" if result.duplicates else "ignored"
        result.reason = "every row was known already" if result.duplicates else "no row could be taken in"
    return result

"""WIP limits: changed at run time, taken from the configuration at a start, and kept by a guard on starting work."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from collectors.kanban import schema as sql
from collectors.kanban.facts import BucketRemoved, LimitChanged
from exporter.contract import LimitReached, NotFound, Struct, Transaction


class SetLimit(Struct):
    """`limit` null: unlimited; 0: nothing may start."""

    bucket: str
    limit: Annotated[int, Meta(ge=0, le=1_000_000)] | None


class Limit(Struct):
    bucket: str
    limit: int | None


def set_limit(tx: Transaction, body: SetLimit) -> Limit:
    row = tx.one(sql.GET, b=body.bucket)
    if row is None:
        known = ", ".join(tx.settings.table("buckets"))
        raise NotFound(f"there is no bucket {body.bucket!r}; there are {known}", field="bucket")
    if row.wip_limit != body.limit:
        tx.run(sql.PUT, b=body.bucket, wip_limit=body.limit)
        _emit(tx, body.bucket, row.wip_limit, body.limit)
    return Limit(bucket=body.bucket, limit=body.limit)


def take_configured(tx: Transaction) -> None:
    """A limit set at run time holds until the configured value itself changes."""
    kept = {row.bucket: row for row in tx.all(sql.LIMITS)}
    for bucket, configured in tx.settings.table("buckets").items():
        limit = configured["limit"]
        row = kept.pop(bucket, None)
        if row is None:
            tx.run(sql.ADD, bucket=bucket, wip_limit=limit, configured=limit)
            _emit(tx, bucket, None, limit)
        elif row.configured != limit:
            tx.run(sql.SET, b=bucket, wip_limit=limit, configured=limit)
            if row.wip_limit != limit:
                _emit(tx, bucket, row.wip_limit, limit)
    for bucket in kept:
        tx.run(sql.DROP, b=bucket)
        tx.emit("kanban.bucket_removed", BucketRemoved(bucket), tx.now)


def keep_limit(tx: Transaction, subject: Mapping[str, Any]) -> None:
    """Guards work_orders.start. Raises: LimitReached, which counts as a refusal of the bucket."""
    bucket, in_progress = subject["bucket"], subject["in_progress"]
    limit = tx.value(sql.GET, b=bucket)
    if limit is not None and in_progress >= limit:
        raise LimitReached(
            f"{bucket} has {in_progress} work orders in progress, its limit is {limit}",
            code="wip_limit_reached",
            field="bucket",
            details={"bucket": bucket, "current": in_progress, "limit": limit},
            tally=("tcps_kanban_refusals_total", (bucket,)),
        )


def _emit(tx: Transaction, bucket: str, before: int | None, now: int | None) -> None:
    tx.emit("kanban.limit_changed", LimitChanged(bucket, before, now), tx.now)

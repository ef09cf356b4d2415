"""Kanban: how much work is in each bucket, and the limits that it may not pass."""

from collectors.kanban import commands, facts, queries, schema
from collectors.kanban.view import ORDERS, Bucket, Kanban
from exporter.contract import Collector, Command, Document, Guard, LimitReached, Metric, Query, Settings


def _buckets(settings: Settings) -> list[tuple[str, ...]]:
    return [(name,) for name in settings.table("buckets")]


COLLECTOR = Collector(
    name="kanban",
    summary="Kanban: how much work is in each bucket, and the limits that it may not pass.",
    tables=schema.TABLES,
    facts=facts.KINDS,
    reads=ORDERS,
    commands=(
        Command(
            "kanban.set_limit", commands.set_limit, commands.SetLimit, "Sets a bucket's WIP limit; null is unlimited.",
            method="PUT", path="/api/kanban/{bucket}", result=commands.Limit, errors=((404, "not_found"),),
        ),
    ),
    queries=(
        Query(
            "kanban.board", queries.board, queries.Board, "Work in progress and limits of every bucket, now.",
            "/api/kanban", dict[str, Bucket | int],
        ),
    ),
    guards=(Guard("work_orders.start", commands.keep_limit, LimitReached),),
    view=Kanban,
    document=Document(dict[str, Bucket | int]),
    metrics=(
        Metric("tcps_kanban_wip", "gauge", "Work orders in progress in the bucket now.", ("bucket",)),
        Metric("tcps_kanban_wip_limit", "gauge", "WIP limit of the bucket; absent where it is unlimited.", ("bucket",)),
        Metric("tcps_kanban_queued", "gauge", "Work orders that wait in the bucket to be pulled now.", ("bucket",)),
        Metric(
            "tcps_kanban_refusals_total", "counter",
            "Starts that the bucket's WIP limit refused, since the process began.", ("bucket",),
            process=True, starts=_buckets,
        ),
    ),
    prepare=commands.take_configured,
)  # fmt: skip

"""Work orders: demand that is recorded, pulled, worked on and completed, with dependencies, SLA and reopening."""

from collectors.work_orders import commands, facts, metrics, queries, recording, schema
from collectors.work_orders import documents as doc
from collectors.work_orders.prepare import refuse_lost_buckets
from collectors.work_orders.view import WorkOrders
from exporter.contract import Collector, Command, Query

_PATH = "/api/work-orders"
_ONE = f"{_PATH}/{{id}}"
_STATE = ((404, "not_found"), (409, "invalid_state"))


def _transition(name: str, run: object, summary: str, body: type = doc.Transition, *errors: tuple[int, str]) -> Command:
    return Command(
        f"work_orders.{name}", run, body, summary, path=f"{_ONE}/{name}", result=doc.WorkOrder,  # type: ignore[arg-type]
        errors=(*_STATE, *errors),
    )  # fmt: skip


COLLECTOR = Collector(
    name="work_orders",
    summary="Work orders: demand that is recorded, pulled, worked on and completed, with dependencies, SLA, reopening.",
    tables=schema.TABLES,
    facts=facts.KINDS,
    commands=(
        Command(
            "work_orders.create", commands.create, doc.Create, "Records demand: a new work order.", path=_PATH,
            result=doc.WorkOrder, status=201, location=lambda order: f"{_PATH}/{order.id}",
            errors=((409, "duplicate_external_id"), (409, "dependency_cycle")),
        ),
        Command(
            "work_orders.pull", commands.pull, doc.Pull, "Starts the next work order that may start.",
            path=f"{_PATH}/pull", result=doc.WorkOrder, errors=((409, "wip_limit_reached"), (409, "nothing_to_pull")),
        ),
        Command(
            "work_orders.change", commands.change, doc.Change, "Changes priority or description.", method="PATCH",
            path=_ONE, result=doc.WorkOrder, errors=((404, "not_found"),),
        ),
        _transition(
            "start", commands.start, "Begins work on it.", doc.Transition,
            (409, "blocked_by_dependencies"), (423, "line_stopped"), (409, "wip_limit_reached"),
        ),
        _transition("progress", commands.progress, "Says which stage of the line it has reached.", doc.Progress),
        _transition(
            "complete", commands.complete, "Completes it.", doc.Transition,
            (423, "line_stopped"),
        ),
        _transition("reopen", commands.reopen, "Takes a completed work order up again."),
        _transition("cancel", commands.cancel, "Says that it will not be done, and why.", doc.Cancel),
        Command(
            "work_orders.depend", commands.depend, doc.Depend, "Lets it wait for other work orders.",
            path=f"{_ONE}/dependencies", result=doc.WorkOrder, errors=(*_STATE, (409, "dependency_cycle")),
        ),
        Command(
            "work_orders.release", commands.release, doc.Depend, "Lets it no longer wait for them.", method="DELETE",
            path=f"{_ONE}/dependencies", result=doc.WorkOrder, errors=((404, "not_found"),),
        ),
        Command("work_orders.record", recording.record, doc.Record, "Takes down history that happened elsewhere."),
    ),
    queries=(
        Query(
            "work_orders.find", queries.find, queries.Status, "Work orders, newest first.", _PATH, doc.WorkOrders,
        ),
        Query(
            "work_orders.upcoming", queries.upcoming, queries.Next,
            "The levelled order: by priority inside a bucket, buckets in turn.", f"{_PATH}/next", doc.WorkOrders,
        ),
        Query("work_orders.wip", queries.wip, queries.Nothing, "Work in progress by bucket.", None, dict[str, int]),
        Query(
            "work_orders.one", queries.one, queries.One, "One work order with its history.", _ONE, doc.WorkOrder,
            errors=((404, "not_found"),),
        ),
    ),
    view=WorkOrders,
    metrics=metrics.METRICS,
    prepare=refuse_lost_buckets,
)  # fmt: skip

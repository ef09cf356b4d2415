"""Andon: cords pulled, answered, escalated and resolved; an open one stops its SKU."""

from collectors.andon import commands, facts, queries, schema
from collectors.andon import documents as doc
from collectors.andon.view import BOUNDS, Andon, AndonDocument
from exporter.contract import DAY, Collector, Command, Document, Guard, Job, LineStopped, Metric, Query, Setting

_ONE = "/api/andon/{id}"
_STATE = ((404, "not_found"), (409, "already_acknowledged"), (409, "already_resolved"))

COLLECTOR = Collector(
    name="andon",
    summary="Andon: cords pulled, answered, escalated and resolved; an open one stops its SKU.",
    tables=schema.TABLES,
    facts=facts.KINDS,
    commands=(
        Command(
            "andon.raise", commands.pull_cord, doc.Raise, "Pulls the cord: stops a SKU.", path="/api/andon",
            result=doc.Andon, status=201, location=lambda andon: f"/api/andon/{andon.id}",
        ),
        Command(
            "andon.acknowledge", commands.acknowledge, doc.Acknowledge, "Answers it. The line stays stopped.",
            path=f"{_ONE}/acknowledge", result=doc.Andon, errors=_STATE,
        ),
        Command(
            "andon.resolve", commands.resolve, doc.Resolve, "Resolves it: cause, fix, prevention, by whom.",
            path=f"{_ONE}/resolve", result=doc.Andon, errors=(_STATE[0], _STATE[2]),
        ),
        Command("andon.escalate", commands.escalate, doc.Escalate, "Says once that nobody answered in time."),
    ),
    queries=(
        Query("andon.find", queries.find, queries.Filter, "Andons, newest first.", "/api/andon", doc.Andons),
        Query(
            "andon.one", queries.one, queries.One, "One andon with its history.", _ONE, doc.Andon,
            errors=((404, "not_found"),),
        ),
    ),
    guards=(
        Guard("work_orders.start", commands.stop_sku, LineStopped),
        Guard("work_orders.complete", commands.stop_sku, LineStopped),
    ),
    view=Andon,
    document=Document(AndonDocument, window="windows.andon"),
    metrics=(
        Metric("tcps_andon_events_open", "gauge", "Andons not resolved now, acknowledged ones too."),
        Metric("tcps_andon_events_by_severity", "gauge", "Andons not resolved now, by severity.", ("severity",)),
        Metric("tcps_andon_unacknowledged", "gauge", "Open andons that nobody has answered yet.", ("severity",)),
        Metric("tcps_andon_events_total", "counter", "Andons ever raised.", ("severity",)),
        Metric(
            "tcps_andon_oldest_open_timestamp_seconds", "gauge",
            "When the oldest andon that is not resolved was raised; absent without one.", ("severity",),
        ),
        Metric(
            "tcps_andon_time_to_acknowledge_seconds", "histogram", "From the pull of the cord to its answer.",
            bounds=BOUNDS,
        ),
        Metric(
            "tcps_andon_time_to_resolve_seconds", "histogram", "From the pull of the cord to its resolution.",
            bounds=BOUNDS,
        ),
        Metric("tcps_skus_stopped", "gauge", "SKUs that an open andon stops now."),
    ),
    settings=(
        Setting("windows.andon", "duration", 30 * DAY, "How far back the times to answer and resolve look.", above=0),
        Setting("ack_timeout", "duration", 900_000, "How long a cord may wait for an answer before it escalates."),
        Setting(
            "stopping_severities", "list", ["critical", "warning", "info"], "Severities of andons that stop a SKU.",
            choices=("critical", "warning", "info"),
        ),
        Setting(
            "failure_types.*", "text", "info", "The severity of a type of failure.",
            choices=("critical", "warning", "info"),
        ),
    ),
    jobs=(Job("escalate", 1000, commands.watch_unanswered),),
)  # fmt: skip

"""Random work on a line: every kind of command, late facts and refusals among them, while the clock goes on."""

from contextlib import suppress
from random import Random
from typing import Any

from exporter.errors import Refusal
from tests.line import DAY, HOUR, MINUTE, Line

BUCKETS = ("reliability", "security", "cost", "compliance")
ACTIVITIES = ("created", "noted", "queued", "blocked", "started", "completed", "cancelled")
VOLATILE = ("tcps_collector_", "tcps_store_bytes", "tcps_kanban_refusals_total", "tcps_sink_failures_total")


def work(line: Line, seed: int, steps: int) -> None:
    """The same seed tells the same story to the same line."""
    random = Random(seed)
    for _ in range(steps):
        line.now += random.choice((1, MINUTE, MINUTE, HOUR, 6 * HOUR, 2 * DAY))
        command, body = random.choice(WORK)(random, line)
        with suppress(Refusal):
            line.call(command, **body)


def numbers(line: Line) -> tuple[dict[str, Any], dict[str, float]]:
    """All documents and all metrics that follow from facts, at the line's moment."""
    snapshot = line.service.snapshots.collect()
    documents = {name: line.document(name) for name, shown in snapshot.documents.items() if shown}
    metrics = {n: v for n, v in line.metrics().items() if n.startswith("tcps_") and not n.startswith(VOLATILE)}
    return documents, metrics


def _create(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"description": "x", "bucket": random.choice(BUCKETS), "priority": random.randint(1, 10)}
    if random.random() < 0.5:
        body["sku_id"] = f"sku-{random.randint(1, 9)}"
    if random.random() < 0.3:
        body["dependencies"] = [_order(random)]
    if random.random() < 0.3:
        body["occurred_at"] = line.now - random.randint(0, 40) * DAY
    return "work_orders.create", body


def _move(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"id": _order(random)}
    if random.random() < 0.2:
        body["occurred_at"] = line.now - random.randint(0, 12) * HOUR
    what = random.choice((*["start"] * 2, *["complete"] * 3, "progress", "reopen", "cancel", "change"))
    if what == "progress":
        body["stage"] = random.choice(("compilation", "testing"))
    elif what == "cancel":
        body["reason"] = "no longer needed"
    elif what == "change":
        body = {"id": body["id"], "priority": random.randint(1, 10)}
    return f"work_orders.{what}", body


def _pull(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    return "work_orders.pull", random.choice(({}, {"bucket": random.choice(BUCKETS)}))


def _record(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    """History in pieces and in any order."""
    entries: list[dict[str, Any]] = [
        {
            "item": f"item {random.randint(1, 12)}",
            "at": line.now - random.randint(0, 60 * DAY),
            "what": random.choice(ACTIVITIES),
        }
        for _ in range(random.randint(1, 6))
    ]
    buckets = {"item 3": "cost", "item 4": "security"}
    return "work_orders.record", {"entries": [entry | {"bucket": buckets.get(entry["item"])} for entry in entries]}


def _tell_whole(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    created = line.now - random.randint(1, 50) * DAY
    whole: dict[str, Any] = {"item": f"table {random.randint(1, 5)}", "created_at": created}
    if random.random() < 0.8:
        whole["started_at"] = created + random.randint(0, 20) * HOUR
    if random.random() < 0.6:
        whole["completed_at"] = created + random.randint(1, 30) * HOUR
    return "work_orders.record", {"wholes": [whole]}


def _finish_import(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    return "intake.finish_import", {
        "source": "csv", "accepted": random.randint(0, 1), "duplicates": 1, "rejected": 0,
    }  # fmt: skip


def _raise_andon(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    failure = random.choice(("test_failure", "security_violation", "odd_noise"))
    return "andon.raise", {"failure_type": failure, "sku_id": f"sku-{random.randint(1, 9)}"}


def _answer_andon(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    name = f"AND-{random.randint(1, 15)}"
    if random.random() < 0.4:
        return "andon.acknowledge", {"id": name}
    words = dict.fromkeys(("root_cause", "fix_applied", "prevention_added", "resolver"), "found")
    return "andon.resolve", {"id": name, **words}


def _set_limit(random: Random, line: Line) -> tuple[str, dict[str, Any]]:
    return "kanban.set_limit", {"bucket": random.choice(BUCKETS), "limit": random.choice((None, 0, 3, 8))}


def _order(random: Random) -> str:
    return f"WO-{random.randint(1, 40)}"


WORK = (
    *[_create] * 4, *[_move] * 8, *[_pull] * 4, *[_record] * 2, _tell_whole, _finish_import, *[_raise_andon] * 2,
    *[_answer_andon] * 3, _set_limit,
)  # fmt: skip

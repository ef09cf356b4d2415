"""One told story: two days of a small line, in minutes from Tuesday 2026-11-24, 06:00Z, read at 08:00Z on Thursday.

Its numbers stand in tests/test_golden.py, worked out from these lines with a pencil.
"""

from typing import Any, NamedTuple

import pytest

from exporter.contract import Refusal
from tests.line import HOUR, MINUTE, NOW, Line

END = 3000
REPAIR = {"root_cause": "a race", "fix_applied": "a lock", "prevention_added": "a test", "resolver": "bo"}


class Step(NamedTuple):
    """`refused` is the code of a command that the line does not carry out."""

    minute: int
    command: str
    body: dict[str, Any]
    refused: str | None = None


def demand(minute: int, description: str, **body: Any) -> Step:
    return Step(minute, "work_orders.create", {"description": description, **body})


def pull(minute: int, bucket: str | None = None, refused: str | None = None) -> Step:
    return Step(minute, "work_orders.pull", {"bucket": bucket}, refused)


def told(minute: int, item: str, *events: tuple[int, str, str]) -> Step:
    """A tracker tells late what happened at these minutes."""
    entries = [{"item": item, "at": NOW + at * MINUTE, "what": what, "activity": doing} for at, what, doing in events]
    return Step(minute, "work_orders.record", {"entries": entries})


STORY = (
    Step(0, "kanban.set_limit", {"bucket": "security", "limit": 2}),
    Step(0, "kanban.set_limit", {"bucket": "cost", "limit": None}),
    demand(0, "Rotate the key", bucket="security", priority="high", sku_id="auth@1"),  # WO-1
    demand(0, "Close the port", bucket="security", priority="critical", sku_id="gateway@7"),  # WO-2
    demand(0, "Review the roles", bucket="security", priority="low", sku_id="audit@2"),  # WO-3
    demand(0, "Speed up search", sku_id="search@4", external_id="REL-4"),  # WO-4
    demand(0, "Search the archive", dependencies=["WO-4"]),  # WO-5
    demand(0, "Shrink the images", bucket="cost", sku_id="images@6"),  # WO-6
    demand(0, "Keep the audit log", bucket="compliance", occurred_at=NOW - 100 * HOUR),  # WO-7
    pull(60, "security"),  # WO-2, the critical one
    pull(90, "security"),  # WO-1
    pull(100, "security", refused="wip_limit_reached"),
    pull(120),  # WO-6: after security it is the turn of cost
    pull(135),  # WO-7
    pull(150),  # WO-4, since WO-5 waits for it
    Step(180, "work_orders.progress", {"id": "WO-2", "stage": "validation"}),
    Step(180, "work_orders.progress", {"id": "WO-1", "stage": "testing"}),
    Step(180, "andon.raise", {"failure_type": "test_failure", "sku_id": "gateway@7", "stage": "testing"}),  # AND-1
    Step(185, "work_orders.complete", {"id": "WO-2"}, refused="line_stopped"),
    Step(190, "andon.acknowledge", {"id": "AND-1", "by": "ana"}),
    Step(195, "work_orders.complete", {"id": "WO-2"}, refused="line_stopped"),
    Step(300, "andon.resolve", {"id": "AND-1", **REPAIR}),
    Step(360, "work_orders.complete", {"id": "WO-2"}),
    Step(390, "work_orders.complete", {"id": "WO-4"}),  # and WO-5 may be pulled
    pull(420, "reliability"),  # WO-5
    Step(480, "andon.raise", {"failure_type": "security_violation", "sku_id": "auth@1",
                              "occurred_at": NOW + 470 * MINUTE}),  # AND-2
    Step(486, "andon.escalate", {"id": "AND-2"}),
    Step(540, "andon.acknowledge", {"id": "AND-2"}),
    Step(600, "andon.raise", {"failure_type": "flaky_network", "sku_id": "mail@9"}),  # AND-3
    Step(630, "andon.resolve", {"id": "AND-3", **REPAIR, "kind": "false_alarm"}),
    demand(660, "Tidy the branches"),  # WO-8
    Step(700, "work_orders.cancel", {"id": "WO-8", "reason": "nobody needs it"}),
    Step(1560, "work_orders.complete", {"id": "WO-6"}),
    Step(1620, "work_orders.reopen", {"id": "WO-2"}),
    Step(1800, "work_orders.complete", {"id": "WO-2"}),
    pull(2880, "security"),  # WO-3
    told(2900, "REL-4", (30, "started", "Taken up")),  # WO-4 was begun two hours before it was pulled
    told(2900, "OLD-9", (-14400, "noted", "Mail"), (-11520, "completed", "Closed")),  # WO-9, ten and eight days ago
    Step(2940, "work_orders.complete", {"id": "WO-5"}),
    demand(2970, "Rename the service", priority="low"),  # WO-10
    demand(2970, "Announce the name", dependencies=["WO-10"]),  # WO-11
    Step(2975, "work_orders.change", {"id": "WO-10", "priority": "critical"}),
    Step(2980, "andon.raise", {"failure_type": "quality_violation", "sku_id": "images@6"}),  # AND-4
)  # fmt: skip


def tell(line: Line) -> None:
    """Afterwards the line's clock stands at the end of the story."""
    for step in STORY:
        line.now = NOW + step.minute * MINUTE
        if step.refused is None:
            line.call(step.command, **step.body)
        else:
            with pytest.raises(Refusal) as raised:
                line.call(step.command, **step.body)
            assert raised.value.code == step.refused
    line.now = NOW + END * MINUTE

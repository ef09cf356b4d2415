"""What can happen to a work order. Each fact carries what stood before and what stands now."""

import msgspec

from exporter.contract import FactKind


class Standing(msgspec.Struct, gc=False, omit_defaults=True):
    """A work order in the light of all its events known so far; times in milliseconds."""

    bucket: str
    priority: int
    status: str
    created_at: int
    sku_id: str | None = None
    current_stage: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    cancelled_at: int | None = None
    sla_deadline_at: int | None = None
    reopened: int = 0


class OrderFact(msgspec.Struct, gc=False, omit_defaults=True):
    """`detail` is the stage, the reason, or a tracker's own name of the activity. before None: it did not exist."""

    work_order_id: str
    now: Standing
    before: Standing | None = None
    detail: str = ""


_SUMMARIES = {
    "created": "A work order was demanded.",
    "queued": "A work order may be pulled again: nothing it depends on is open any more.",
    "blocked": "A work order waits for others that it depends on.",
    "started": "Work on it began.",
    "progressed": "It reached a stage of the line.",
    "completed": "It was completed.",
    "reopened": "A completed work order is worked on again.",
    "cancelled": "It will not be done.",
    "changed": "Its priority, bucket or SKU changed.",
    "noted": "A tracker recorded an activity that changes no status.",
}
KINDS = tuple(
    FactKind(f"work_orders.{what}", OrderFact, summary, channel="work_order", event="work_order_update")
    for what, summary in _SUMMARIES.items()
)

"""What can happen to a bucket's limit."""

import msgspec

from exporter.contract import FactKind


class LimitChanged(msgspec.Struct, gc=False):
    """null: unlimited. `before` is also null for a bucket that is new."""

    bucket: str
    before: int | None
    now: int | None


class BucketRemoved(msgspec.Struct, gc=False):
    bucket: str


KINDS = (
    FactKind("kanban.limit_changed", LimitChanged, "A bucket's WIP limit changed.", "kanban", "kanban_limit_changed"),
    FactKind("kanban.bucket_removed", BucketRemoved, "A bucket is gone.", "kanban", "kanban_limit_changed"),
)

"""What must hold before work orders can be served."""

from collectors.work_orders.schema import OPEN_BUCKETS
from exporter.contract import StartupError, Transaction


def refuse_lost_buckets(tx: Transaction) -> None:
    """Raises: StartupError when open work orders lie in a bucket that the configuration no longer has."""
    known = tx.settings.table("buckets")
    lost = [f"{row.bucket} ({row.orders} open work orders)" for row in tx.all(OPEN_BUCKETS) if row.bucket not in known]
    if lost:
        message = f"buckets: the configuration has no {', '.join(lost)}"
        raise StartupError(f"{message}; put it back, or complete, cancel or move them first")

"""The board as a resource, read from the tables: true at once."""

from collectors.kanban import schema as sql
from collectors.kanban.view import Bucket, bucket
from exporter.contract import Page, Struct


class Board(Struct):
    """Asks for the whole board."""


def board(page: Page, params: Board) -> dict[str, Bucket | int]:
    wip = page.ask("work_orders.wip")
    limits = {row.bucket: row.wip_limit for row in page.rows.all(sql.LIMITS)}
    buckets = {name: bucket(wip.get(name, 0), limits[name]) for name in page.settings.table("buckets")}
    return buckets | {"total_wip": sum(each.current for each in buckets.values())}

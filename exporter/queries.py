"""What queries are given: one look at the tables, and each other."""

from collections.abc import Mapping
from typing import Any

from exporter.contract import Query
from exporter.parsing import convert
from exporter.settings import Settings
from exporter.statements import Rows


class Look:
    """One consistent look (contract.Page)."""

    def __init__(self, rows: Rows, settings: Settings, now: int, queries: Mapping[str, Query]):
        self.rows, self.settings, self.now = rows, settings, now
        self._queries = queries

    def ask(self, query: str, **params: Any) -> Any:
        asked = self._queries[query]
        return asked.run(self, convert(params, asked.params))

"""What queries are given: one look at the tables, and each other."""

from typing import Any

from exporter.parsing import convert
from exporter.service import Service
from exporter.statements import Rows


class Look:
    """One consistent look (contract.Page)."""

    def __init__(self, rows: Rows, service: Service):
        self.rows, self.settings, self.now = rows, service.settings, service.now()
        self._queries = service.registry.queries

    def ask(self, query: str, **params: Any) -> Any:
        asked = self._queries[query]
        return asked.run(self, convert(params, asked.params))

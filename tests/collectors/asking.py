"""How the tests of the slices ask a line: what it refuses, what its lists say, which facts it wrote."""

from typing import Any

import msgspec
import pytest

from exporter.contract import Fact, Refusal
from exporter.host_settings import configured
from exporter.ledger import AFTER
from tests.line import Line


def refusal(line: Line, command: str, **body: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        line.call(command, **body)
    return raised.value


def refused(line: Line, command: str, **body: Any) -> str:
    """Status and code, such as "409 invalid_state"."""
    found = refusal(line, command, **body)
    return f"{found.status} {found.code}"


def ask(line: Line, query: str, **params: Any) -> Any:
    """A query's answer as plain data, true at once. Raises: Refusal."""
    return msgspec.to_builtins(line.service.ask(query, **params))


def facts(line: Line, after: int = 0) -> list[Fact]:
    """The ledger from there on."""
    with line.service.read() as rows:
        rows.run(AFTER, after=after, size=100_000)
        return [line.service.ledger.decode(row) for row in rows.cursor.fetchall()]


def kinds(line: Line, after: int = 0) -> list[str]:
    return [fact.kind for fact in facts(line, after)]


def head(line: Line) -> int:
    return int(line.service.ledger.head)


def configure(line: Line, toml: str) -> None:
    """What the line finds in its file at the next start."""
    file = line.folder / "tcps.toml"
    file.write_text(toml)
    database = {"database": f"sqlite:///{line.folder}/line.db"}
    line.settings = configured(line.service.registry.settings, file, environ={}, flags=database)


def order(line: Line, **body: Any) -> str:
    """A new work order's id."""
    return str(line.call("work_orders.create", **({"description": "Mend it"} | body))["id"])


def started(line: Line, **body: Any) -> str:
    created = order(line, **body)
    line.call("work_orders.start", id=created)
    return created


def cord(line: Line, sku: str, **body: Any) -> str:
    """A new andon's id."""
    return str(line.call("andon.raise", **({"failure_type": "test_failure", "sku_id": sku} | body))["id"])


def resolve(line: Line, andon: str, **body: Any) -> Any:
    words = {"root_cause": "a race", "fix_applied": "a lock", "prevention_added": "a test", "resolver": "bo"}
    return line.call("andon.resolve", id=andon, **(words | body))

"""Who may import what, who may read the time, how long a file may be: the house's rules, read off the syntax trees.

A rule is a function from a parsed file to the faults it finds there. Each is run over every file, and over a snippet
that breaks it, so that it is known to be able to fail.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
COLLECTORS = frozenset(path.parent.name for path in (ROOT / "collectors").glob("*/__init__.py"))
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("exporter", "collectors", "tests")
    for path in (ROOT / folder).rglob("*.py")
)

LONGEST_FILE = 400
LONGEST_FUNCTION = 50
LONG_FILES: frozenset[str] = frozenset()  # stays empty
LONG_FUNCTIONS: frozenset[str] = frozenset()  # stays empty

PROJECT = frozenset({"exporter", "collectors", "tests"})
OPEN_TO_SLICES = frozenset({"exporter.contract", "exporter.ids"})
CLOCK_READERS = re.compile(
    r"time(\..*)?|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
    r"|sqlalchemy(\..*)?\.func\.(now|current_\w+|localtime\w*|sysdate)"
)
# A savepoint is no transaction: commands.py may set one inside the store's.
TRANSACTION_SQL = re.compile(r"(BEGIN( (IMMEDIATE|DEFERRED|EXCLUSIVE))?( TRANSACTION)?|COMMIT|ROLLBACK);?")
EMPTY_WORDS = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager"})


@dataclass(frozen=True)
class Source:
    path: str
    text: str
    collectors: frozenset[str] = COLLECTORS
    tree: ast.Module = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", ast.parse(self.text, self.path))

    @property
    def package(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parent.parts

    def within(self, *places: str) -> bool:
        """A place is a file, or a folder with a slash at its end."""
        return any(self.path == place or (place.endswith("/") and self.path.startswith(place)) for place in places)

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)


Rule = Callable[[Source], Iterator[str]]


class Imported(NamedTuple):
    line: int
    name: str  # in full; `from a import b` gives a.b, since b may be a module
    local: str
    meaning: str  # what the local name stands for: `import a.b` binds a


def imports(source: Source) -> Iterator[Imported]:
    for node in source.nodes():
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield Imported(node.lineno, alias.name, alias.asname or first, alias.name if alias.asname else first)
        elif isinstance(node, ast.ImportFrom):
            above = source.package[: len(source.package) - node.level + 1] if node.level else ()
            module = ".".join((*above, node.module) if node.module else above)
            for alias in node.names:
                name = f"{module}.{alias.name}"
                yield Imported(node.lineno, name, alias.asname or alias.name, name)


def is_or_in(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def mentions(source: Source) -> Iterator[tuple[int, str]]:
    """Imported names, and dotted expressions spelled out through them: dt.date.today gives datetime.date.today."""
    imported = list(imports(source))
    yield from ((item.line, item.name) for item in imported)
    meaning = {item.local: item.meaning for item in imported}
    for node in source.nodes():
        if isinstance(node, ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            if first in meaning:
                yield node.lineno, ".".join((meaning[first], *rest))


def literals(source: Source) -> Iterator[tuple[int, str]]:
    """String literals without the docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = {
        id(node.body[0].value)
        for node in source.nodes()
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in source.nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def product(source: Source) -> bool:
    return source.within("exporter/", "collectors/")


# --- the rules ---------------------------------------------------------------------------------------------------


def host_imports_no_collector(source: Source) -> Iterator[str]:
    if source.within("exporter/"):
        for line, name, *_ in imports(source):
            if is_or_in(name, "collectors"):
                yield f"{line}: imports {name}"


def host_names_no_collector(source: Source) -> Iterator[str]:
    if source.within("exporter/"):
        modules = {f"collectors.{name}" for name in source.collectors}
        for line, text in literals(source):
            if text in source.collectors or is_or_in(text, *modules):
                yield f"{line}: names the collector {text!r}"


def slice_imports_only_the_contract_and_itself(source: Source) -> Iterator[str]:
    if source.within("collectors/"):
        own = ".".join(source.package[:2])
        for line, name, *_ in imports(source):
            itself = own != "collectors" and is_or_in(name, own)
            if is_or_in(name, *PROJECT) and not itself and not is_or_in(name, *OPEN_TO_SLICES):
                yield f"{line}: imports {name}"


def only_telemetry_imports_opentelemetry(source: Source) -> Iterator[str]:
    if product(source) and not source.within("exporter/telemetry.py"):
        for line, name, *_ in imports(source):
            if is_or_in(name, "opentelemetry"):
                yield f"{line}: imports {name}"


def only_web_imports_flask(source: Source) -> Iterator[str]:
    if product(source) and not source.within("exporter/web/"):
        for line, name, *_ in imports(source):
            if is_or_in(name, "flask", "flask_sock"):
                yield f"{line}: imports {name}"


def only_clock_reads_the_time(source: Source) -> Iterator[str]:
    if product(source) and not source.within("exporter/clock.py"):
        for line, name in mentions(source):
            if CLOCK_READERS.fullmatch(name):
                yield f"{line}: reads the time by {name}"


def only_main_patches(source: Source) -> Iterator[str]:
    if product(source) and not source.within("exporter/__main__.py"):
        for line, name in mentions(source):
            if is_or_in(name, "gevent.monkey"):
                yield f"{line}: uses {name}"


def only_store_and_ledger_open_transactions(source: Source) -> Iterator[str]:
    if not product(source) or source.within("exporter/store.py", "exporter/ledger.py", "exporter/migrations.py"):
        return
    for line, name in mentions(source):
        if name.endswith(".create_engine"):
            yield f"{line}: makes an engine by {name}"
    for node in source.nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "begin":
            yield f"{node.lineno}: opens a transaction by {ast.unparse(node.func)}()"
    for line, text in literals(source):
        if TRANSACTION_SQL.fullmatch(text.strip()):
            yield f"{line}: opens or ends a transaction by {text!r}"


def file_is_short(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE and source.path not in LONG_FILES:
        yield f"{lines} lines, at most {LONGEST_FILE}"


def functions_are_short(source: Source) -> Iterator[str]:
    for node in source.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION and f"{source.path}:{node.name}" not in LONG_FUNCTIONS:
                yield f"{node.lineno}: {node.name} has {lines} lines, at most {LONGEST_FUNCTION}"


def name_says_something(source: Source) -> Iterator[str]:
    for word in PurePosixPath(source.path).with_suffix("").parts:
        if word in EMPTY_WORDS:
            yield f"{word!r} says nothing about what lives there"


RULES: tuple[Rule, ...] = (
    host_imports_no_collector,
    host_names_no_collector,
    slice_imports_only_the_contract_and_itself,
    only_telemetry_imports_opentelemetry,
    only_web_imports_flask,
    only_clock_reads_the_time,
    only_main_patches,
    only_store_and_ledger_open_transactions,
    file_is_short,
    functions_are_short,
    name_says_something,
)


@cache
def parsed(path: str) -> Source:
    return Source(path, (ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_file_keeps_the_rule(rule: Rule, path: str) -> None:
    assert [f"{path}:{fault}" for fault in rule(parsed(path))] == []


def test_there_are_no_exceptions() -> None:
    assert not LONG_FILES | LONG_FUNCTIONS


# --- the rules can fail, and only where they should --------------------------------------------------------------

BREACHES: tuple[tuple[Rule, str, str], ...] = (
    (host_imports_no_collector, "exporter/cli.py", "from collectors.andon import COLLECTOR"),
    (host_imports_no_collector, "exporter/web/api.py", "def f():\n    import collectors"),
    (host_names_no_collector, "exporter/cli.py", "f(name='andon')"),
    (host_names_no_collector, "exporter/cli.py", "import_module('collectors.andon.view')"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from exporter import store"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "import exporter.store"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from collectors.kanban import rules"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from collectors import kanban"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from ..kanban.rules import limit"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/migrations/env.py", "from ...kanban import rules"),
    (slice_imports_only_the_contract_and_itself, "collectors/__init__.py", "from collectors import andon"),
    (only_telemetry_imports_opentelemetry, "exporter/serve.py", "from opentelemetry.sdk import metrics"),
    (only_web_imports_flask, "exporter/cli.py", "from flask import Flask"),
    (only_web_imports_flask, "collectors/andon/doors.py", "import flask_sock"),
    (only_clock_reads_the_time, "exporter/hub.py", "from time import monotonic"),
    (only_clock_reads_the_time, "exporter/hub.py", "import time"),
    (only_clock_reads_the_time, "exporter/hub.py", "from datetime import datetime as D\nf(default=D.utcnow)"),
    (only_clock_reads_the_time, "exporter/hub.py", "from datetime import datetime\ndatetime.now(tz)"),
    (only_clock_reads_the_time, "collectors/andon/rules.py", "from datetime import date\ndate.today()"),
    (only_clock_reads_the_time, "collectors/andon/rules.py", "import datetime as dt\ndt.date.today()"),
    (only_clock_reads_the_time, "collectors/andon/rules.py", "import datetime\ndatetime.datetime.now(datetime.UTC)"),
    (only_clock_reads_the_time, "collectors/andon/schema.py", "import sqlalchemy as sa\nsa.func.now()"),
    (only_clock_reads_the_time, "collectors/andon/schema.py", "from sqlalchemy import func\nfunc.now()"),
    (only_main_patches, "exporter/serve.py", "from gevent import monkey"),
    (only_main_patches, "exporter/serve.py", "import gevent\ngevent.monkey.patch_all()"),
    (only_main_patches, "exporter/web/api.py", "import gevent.monkey as m"),
    (only_store_and_ledger_open_transactions, "exporter/history.py", "from sqlalchemy import create_engine"),
    (only_store_and_ledger_open_transactions, "exporter/history.py", "import sqlalchemy as sa\nsa.create_engine(url)"),
    (only_store_and_ledger_open_transactions, "collectors/andon/commands.py", "with engine.begin() as c: pass"),
    (only_store_and_ledger_open_transactions, "collectors/andon/commands.py", "c.execute('BEGIN IMMEDIATE')"),
    (file_is_short, "tests/test_x.py", "pass\n" * (LONGEST_FILE + 1)),
    (functions_are_short, "collectors/x/view.py", "async def f():\n" + "    pass\n" * LONGEST_FUNCTION),
    (functions_are_short, "tests/test_x.py", "class C:\n  def f():\n" + "    pass\n" * LONGEST_FUNCTION),
    (name_says_something, "exporter/web/helpers.py", ""),
    (name_says_something, "tests/common/story.py", ""),
)

KEPT: tuple[tuple[Rule, str, str], ...] = (
    (host_imports_no_collector, "exporter/cli.py", "from exporter.registry import collectors"),
    (host_names_no_collector, "exporter/cli.py", "'''andon'''\nf('tcps_exporter.collectors', 'andon_total')"),
    (host_names_no_collector, "exporter/cli.py", "def f():\n    'andon'"),
    (host_names_no_collector, "tests/test_x.py", "f('andon')"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from exporter import contract, ids"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from exporter.contract import Fact"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from . import rules\nfrom .a import b"),
    (slice_imports_only_the_contract_and_itself, "collectors/andon/view.py", "from collectors.andon.rules import age"),
    (only_telemetry_imports_opentelemetry, "exporter/telemetry.py", "import opentelemetry.metrics"),
    (only_web_imports_flask, "exporter/web/api.py", "from flask import request"),
    (only_clock_reads_the_time, "exporter/clock.py", "import time"),
    (only_clock_reads_the_time, "exporter/hub.py", "from datetime import datetime, time\ndatetime.fromisoformat(x)"),
    (only_clock_reads_the_time, "exporter/hub.py", "from exporter import clock\nclock.now()\nself.time.now()"),
    (only_main_patches, "exporter/__main__.py", "from gevent import monkey"),
    (only_main_patches, "exporter/serve.py", "import gevent\ngevent.sleep(0)"),
    (only_store_and_ledger_open_transactions, "exporter/store.py", "engine.begin()"),
    (only_store_and_ledger_open_transactions, "exporter/cli.py", "f('commit', 'SAVEPOINT a', begin(), self.commit())"),
    (file_is_short, "tests/test_x.py", "pass\n" * LONGEST_FILE),
    (functions_are_short, "tests/test_x.py", "def f():\n" + "    pass\n" * (LONGEST_FUNCTION - 1)),
    (name_says_something, "exporter/baseline.py", ""),
)


def faults(rule: Rule, path: str, text: str) -> list[str]:
    return list(rule(Source(path, text, collectors=frozenset({"andon", "kanban"}))))


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES)
def test_rule_catches(rule: Rule, path: str, text: str) -> None:
    assert len(faults(rule, path, text)) >= 1


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    assert faults(rule, path, text) == []


def test_every_rule_is_shown_to_fail_and_to_pass() -> None:
    assert {rule for rule, _, _ in BREACHES} == {rule for rule, _, _ in KEPT} == set(RULES)

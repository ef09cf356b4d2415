"""What a user may set: rows that declare it, and one immutable Settings read from flags, environment, file, defaults.

Knows no slice: slices declare rows of their own, which load() gets together with HOST.
"""

import difflib
import hashlib
import json
import operator
import os
import re
import reprlib
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import msgspec

from exporter.errors import StartupError


@dataclass(frozen=True)
class Setting:
    """A "*" in the key stands for a name the user chooses. Units of default and bounds: milliseconds, bytes."""

    key: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    flag: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False  # its value is never printed, and <VARIABLE>_FILE may name a file that holds it
    nullable: bool = False  # "none" and "unlimited" give None
    throwaway: bool = False  # true puts the facts into a throw-away database, unless one is named
    above: float | None = None  # like minimum, but itself too little
    bare_below: int | None = None  # a number without a unit must stay below this
    reserved: tuple[str, ...] = ()  # names the "*" may not stand for


class SettingsError(StartupError):
    """Everything that is wrong with a configuration, one line a fault."""

    def __init__(self, faults: Sequence[str]):
        super().__init__("\n".join(faults))
        self.faults = list(faults)


@dataclass(frozen=True, eq=False, repr=False)
class Settings(Mapping[str, Any]):
    """Values by dotted key; lists are tuples and maps read-only, so that nobody changes what all share."""

    _values: Mapping[str, Any]
    _sources: Mapping[str, str]
    _names: Mapping[str, Iterable[str]]
    _tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def table(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The rows "prefix.*.key" as {name: {key: value}}, in the order of the file or else of the defaults."""
        if prefix not in self._tables:  # asked for by every command
            self._tables[prefix] = {name: dict(self._under(f"{prefix}.{name}.")) for name in self._names[prefix]}
        return self._tables[prefix]

    def mapping(self, prefix: str) -> dict[str, Any]:
        """The row "prefix.*" as {name: value}, in the same order."""
        return {name: self[f"{prefix}.{name}"] for name in self._names[prefix]}

    def source(self, key: str) -> str:
        """Where a value was set: "default", "file tcps.toml", "environment TCPS_PORT" or "flag --port"."""
        return self._sources[key]

    def fingerprint(self, prefixes: Sequence[str]) -> str:
        """Differs when a value under these keys or prefixes does, or the order of the names in a table."""
        chosen = [[prefix, self.get(prefix), list(self._under(f"{prefix}."))] for prefix in sorted(prefixes)]
        text = json.dumps(chosen, default=dict, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _under(self, start: str) -> Iterator[tuple[str, Any]]:
        return ((key.removeprefix(start), value) for key, value in self.items() if key.startswith(start))


def _quantity(value: Any, units: Mapping[str, int], bare: str) -> int:
    match = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(units)})?", str(value).strip())
    if match:
        return round(Decimal(match[1]) * units[match[2] or bare])
    raise ValueError


def _spelling(value: Any, units: Mapping[str, int], least: int, space: str) -> str:
    """In the largest unit that divides a value and comes `least` times: 24h and not 1d, as people say."""
    fitting = [unit for unit, size in units.items() if value % size == 0 and value >= least * size]
    unit = fitting[-1] if fitting else next(iter(units))
    return f"{value // units[unit]}{space}{unit}"


class Kind(NamedTuple):
    """`parse` makes of text, the only type environment and flags have, what TOML would have given to `convert`."""

    expected: str
    convert: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    show: Callable[[Any], str] = str


_DURATIONS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_FINITE = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_typed = partial(partial, msgspec.convert)

KINDS: dict[str, Kind] = {
    "text": Kind("text", _typed(type=str)),
    "int": Kind("a whole number", _typed(type=int), int),
    "float": Kind("a number", _typed(type=_FINITE), float, "{:g}".format),
    "bool": Kind("true or false", _typed(type=bool), lambda text: _WORDS[text.strip().lower()], json.dumps),
    "duration": Kind(
        'a duration such as "500ms", "5s" or "30d"',
        partial(_quantity, units=_DURATIONS, bare="s"),
        show=partial(_spelling, units=_DURATIONS, least=2, space=""),
    ),
    "size": Kind(
        'a size such as "512 KiB" or "1 MiB"',
        partial(_quantity, units=_SIZES, bare="B"),
        show=partial(_spelling, units=_SIZES, least=1, space=" "),
    ),
    "list": Kind(
        "a list of texts, with commas between in the environment",
        _typed(type=list[str]),
        lambda text: [item.strip() for item in text.split(",") if item.strip()],
        ", ".join,
    ),
    "map": Kind(
        "a table of texts, a variable each in the environment",
        _typed(type=dict[str, str]),
        show=lambda table: ", ".join(f"{name} = {text}" for name, text in table.items()),
    ),
}


def _expected(row: Setting) -> str:
    kind = KINDS[row.kind]
    bounds = (("more than", row.above), ("at least", row.minimum), ("at most", row.maximum))
    words = [kind.expected]
    words += [f"one of {', '.join(row.choices)}"] if row.choices else []
    words += [f"{bound} {kind.show(value)}" for bound, value in bounds if value is not None]
    words += ['or "none"'] if row.nullable else []
    return ", ".join(words)


def _allowed(row: Setting, value: Any) -> bool:
    members = value.values() if row.kind == "map" else value if row.kind == "list" else [value]
    bounds = ((operator.gt, row.above), (operator.ge, row.minimum), (operator.le, row.maximum))
    inside = all(bound is None or compare(value, bound) for compare, bound in bounds)
    return inside and (not row.choices or set(members) <= set(row.choices))


def _convert(row: Setting, value: Any, text: bool) -> Any:
    """Raises: ValueError, saying what was expected."""
    kind, spelled = KINDS[row.kind], str(value).strip()
    if row.nullable and spelled.lower() in ("none", "unlimited"):
        return None
    bare = re.fullmatch(r"[0-9]+(\.[0-9]+)?", spelled)
    if bare and row.bare_below is not None and float(spelled) >= row.bare_below:
        raise ValueError(f'a unit, "{spelled}ms" or "{spelled}s"')
    try:
        if isinstance(value, Path):
            value = value.read_text("utf-8").rstrip("\r\n")
        converted = kind.convert(kind.parse(value) if text and isinstance(value, str) else value)
    except OSError as error:
        raise ValueError(f"a file that can be read ({error.strerror})") from error
    except (ValueError, KeyError, msgspec.ValidationError):
        raise ValueError(_expected(row)) from None
    if not _allowed(row, converted):
        raise ValueError(_expected(row))
    return converted


class _Reading(NamedTuple):
    """What was written where; a Path stands for the content of a secret's file."""

    row: Setting
    key: str
    value: Any
    source: str
    text: bool = True


def _matches(pattern: str, key: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]+"), key) is not None


def _row(rows: Sequence[Setting], key: str) -> Setting | None:
    return next((row for row in rows if _matches(row.key, key)), None)


def _variables(row: Setting) -> list[str]:
    variable = "TCPS_" + row.key.replace(".", "__").upper()
    if row.kind == "map":
        return [f"{variable}__*"]
    return [variable, f"{variable}_FILE"] if row.secret else [variable]


def _unknown(written: str, source: str, known: Iterable[str], between: str) -> str:
    """The fault; in what it offers, a "*" is filled with what was written in its place."""
    parts = (zip(key.split(between), chain(written.split(between), repeat("NAME")), strict=False) for key in known)
    filled = [between.join(there if part == "*" else part for part, there in key) for key in parts]
    nearest = difflib.get_close_matches(written, filled, 1, 0.0)
    return f"{written} ({source}): unknown, the nearest known one is {', '.join(nearest) or 'none'}"


def _document(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        # utf-8-sig: editors on Windows put a byte order mark in front, which TOML does not know
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        faults.append(f"{file}: can't be read: {error.strerror}")
    except UnicodeDecodeError as error:
        faults.append(f"{file}: is not UTF-8 text (at line {error.object.count(10, 0, error.start) + 1})")
    except ValueError as error:
        faults.append(f"{file}: is not TOML: {error}")
    return {}


def _leaves(rows: Sequence[Setting], table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value and not _row(rows, key):
            yield from _leaves(rows, value, f"{key}.")
        else:
            yield key, value


def _written(rows: Sequence[Setting], leaves: Mapping[str, Any], source: str, faults: list[str]) -> Iterator[_Reading]:
    for key, value in leaves.items():
        tables = (".".join(row.key.split(".")[: key.count(".") + 1]) for row in rows)
        if row := _row(rows, key):
            yield _Reading(row, key, value, source, text=False)
        elif value != {} or not any(_matches(table, key) for table in tables):
            faults.append(_unknown(key, source, (row.key for row in rows), "."))


_OF_THE_COMMAND = ("TCPS_TOKEN", "TCPS_CONFIG")
# Kubernetes puts these into every container for each service of the namespace, so for one called tcps or tcps-exporter.
_SERVICE_LINK = re.compile(
    r"TCPS(_[A-Z0-9]+)*?_(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9]+)*=|PORT=(tcp|udp|sctp)://"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?=)"
)


def _exported(rows: Sequence[Setting], environ: Mapping[str, str], faults: list[str]) -> Iterator[_Reading]:
    # sorted: the environment has no order, and names it adds must come alike on every replica
    for variable, text in sorted(environ.items()):
        linked = _SERVICE_LINK.match(f"{variable}={text}")
        if not variable.startswith("TCPS_") or variable in _OF_THE_COMMAND or linked:
            continue
        key = variable.removeprefix("TCPS_").lower().replace("__", ".")
        table, _, entry = key.rpartition(".")
        source = f"environment {variable}"
        if row := _row(rows, key):
            yield _Reading(row, key, text, source)
        elif (row := _row(rows, table)) and row.kind == "map":
            yield _Reading(row, table, {entry: text}, source)
        elif key.endswith("_file") and (row := _row(rows, key.removesuffix("_file"))) and row.secret:
            yield _Reading(row, key.removesuffix("_file"), Path(text), source)
        else:
            known = [*(known for row in rows for known in _variables(row)), *_OF_THE_COMMAND]
            faults.append(_unknown(variable.upper(), "environment", known, "__"))


def _names(keys: Iterable[str], prefix: str, source: str) -> dict[str, str]:
    inside = (key.removeprefix(f"{prefix}.") for key in keys if key.startswith(f"{prefix}."))
    return {key.partition(".")[0]: source for key in inside}


def _misnamed(rows: Sequence[Setting], prefix: str, names: Mapping[str, str]) -> Iterator[str]:
    reserved = dict.fromkeys(name for row in rows if row.key.startswith(f"{prefix}.*") for name in row.reserved)
    besides = f", none of {', '.join(reserved)}" if reserved else ""
    for name, source in names.items():
        if name in reserved or not re.fullmatch("[a-z0-9_]+", name):
            yield f"{prefix}.{name} ({source}): expected a name of a-z, 0-9 and _{besides}"


def _take(readings: Iterable[_Reading], values: dict[str, Any], sources: dict[str, str]) -> Iterator[str]:
    """Puts the readings over the values, a later one over an earlier. Gives the faults."""
    for row, key, value, source, text in readings:
        try:
            converted = _convert(row, value, text)
        except ValueError as expected:
            yield f"{key} = {'(secret)' if row.secret else reprlib.repr(value)} ({source}): expected {expected}"
        else:
            # a file gives a map as a whole, the environment entry by entry
            values[key] = {**(values[key] or {}), **converted} if row.kind == "map" and text else converted
            sources[key] = source


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else MappingProxyType(value) if isinstance(value, dict) else value


def load(
    rows: Sequence[Setting],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] = {},
    names: Mapping[str, Mapping[str, Any]] = {},
) -> Settings:
    """Flags (by key; None: not given) go before the environment, that before the file, that before the defaults.

    `names` are the defaults of the "*" tables: {"buckets": {"security": {"sla_hours": 24.0}}}. A table in the file
    takes the place of all its names; a name it keeps keeps its defaults. The environment changes and adds names.

    Raises: SettingsError with every fault there is, not the first only.
    """
    faults = [f"{key}: is declared twice" for key, times in Counter(row.key for row in rows).items() if times > 1]
    origin = f"file {file.name}" if file else ""
    leaves = dict(_leaves(rows, _document(file, faults))) if file else {}
    named = dict(_leaves(rows, names))
    written = list(_written(rows, leaves, origin, faults))
    said = list(_exported(rows, environ, faults))
    for key, value in flags.items():
        if not (row := _row(rows, key)):
            raise KeyError(key)  # no user's mistake, but the command's
        said += [_Reading(row, key, value, f"flag {row.flag or key}")] if value is not None else []

    tables: dict[str, dict[str, str]] = {}
    for prefix in (row.key.partition(".*")[0] for row in rows if "*" in row.key):
        # an empty table takes nothing out: all its lines may just be commented out
        tables[prefix] = _names(leaves, prefix, origin) or _names(named, prefix, "default")
        for reading in said:
            tables[prefix] |= _names([reading.key], prefix, reading.source)
    faults += [fault for prefix, chosen in tables.items() for fault in _misnamed(rows, prefix, chosen)]

    keys = [(row, row.key.replace("*", name)) for row in rows for name in tables.get(row.key.partition(".*")[0], [""])]
    values = {key: named.get(key, row.default) for row, key in keys}
    sources = dict.fromkeys(values, "default")
    faults += _take([*written, *said], values, sources)
    if faults:
        raise SettingsError(faults)
    return Settings({key: _frozen(value) for key, value in values.items()}, sources, tables)


def describe(rows: Sequence[Setting]) -> str:
    """The Markdown table of docs/configuration.md."""
    lines = ["| key | environment variable | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        key, *variables = (f"`{name.replace('*', 'NAME')}`" for name in (row.key, *_variables(row)))
        default = "none" if row.default is None else KINDS[row.kind].show(row.default)
        form = f"{_expected(row)}; flag `{row.flag}`" if row.flag else _expected(row)
        cells = (key, ", ".join(variables), "(not shown)" if row.secret else default, f"{row.help} ({form})")
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"

"""From bytes and query strings to the declared types; what doesn't fit is refused by the name of its field."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from exporter.errors import Invalid, Malformed

T = TypeVar("T")
DEEPEST = 50
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_NAME = re.compile(r"Object (contains unknown|missing required) field `([^`]*)`")


def json_object(raw: bytes) -> dict[str, Any]:
    """Raises: Malformed, naming the byte, for what is no JSON object; Invalid for one that is nested too deep."""
    if not raw:
        return {}
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Malformed(f"the body: expected a JSON object, got {_kind(value)}")
    for name, each in value.items():
        if isinstance(each, dict | list) and _deeper(each, DEEPEST):
            raise Invalid(f"{name}: expected at most {DEEPEST} levels of nesting", field=name)
    return value


def _deeper(value: Any, levels: int) -> bool:
    """Whether something lies more than so many levels down; what is read again must not be too deep to be read."""
    level = [value]
    while level and levels:
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [each for one in inner for each in one if isinstance(each, dict | list)]
        levels -= 1
    return bool(level)


def convert(values: Mapping[str, Any], kind: type[T], *, text: bool = False) -> T:
    """`text`: the values come from a query string or flags, so numbers are spelled as text. Raises: Invalid."""
    try:
        return msgspec.convert(values, kind, strict=not text)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def _invalid(message: str) -> Invalid:
    path = _PATH.search(message)
    plain = _PATH.sub("", message)
    named = _NAME.fullmatch(plain)
    at = path.group(1) if path else ""
    field = ".".join(part for part in (at, named.group(2) if named else "") if part)
    if named:
        what = "is required" if named.group(1) == "missing required" else "there is no such field"
        return Invalid(f"{field}: {what}", field=field)
    return Invalid(f"{field}: {plain[:1].lower()}{plain[1:]}", field=field or None)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")

"""What doesn't fit is refused by the name of its field, with what was expected."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from exporter.contract import Struct
from exporter.errors import Invalid, Malformed
from exporter.parsing import convert, json_object


class Size(Struct):
    height: Annotated[int, Meta(ge=1, le=9)]
    unit: Literal["mm", "cm"] = "mm"


class Part(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    size: Size | None = None
    colours: Annotated[list[str], Meta(max_length=2)] = []
    layers: list[Size] = []
    spares: dict[str, int] = {}
    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"
    limit: int = 50
    fragile: bool = False


REFUSED: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({}, "name", "name: is required"),
    ({"name": "bolt", "colour": 1}, "colour", "colour: there is no such field"),
    ({"name": 5}, "name", "name: expected `str`, got `int`"),
    ({"name": None}, "name", "name: expected `str`, got `null`"),
    ({"name": ""}, "name", "name: expected `str` of length >= 1"),
    ({"name": "washer"}, "name", "name: expected `str` of length <= 5"),
    ({"name": "bolt", "code": "A1"}, "code", "code: expected `str` matching regex '^[a-z]+$'"),
    ({"name": "bolt", "size": 3}, "size", "size: expected `object | null`, got `int`"),
    ({"name": "bolt", "size": {}}, "size.height", "size.height: is required"),
    ({"name": "bolt", "size": {"height": 1, "depth": 2}}, "size.depth", "size.depth: there is no such field"),
    ({"name": "bolt", "size": {"height": 0}}, "size.height", "size.height: expected `int` >= 1"),
    ({"name": "bolt", "size": {"height": 1, "unit": "m"}}, "size.unit", "size.unit: invalid enum value 'm'"),
    ({"name": "bolt", "colours": ["a", 2]}, "colours[1]", "colours[1]: expected `str`, got `int`"),
    ({"name": "bolt", "colours": ["a", "b", "c"]}, "colours", "colours: expected `array` of length <= 2"),
    ({"name": "bolt", "layers": [{"height": 1}, {}]}, "layers[1].height", "layers[1].height: is required"),
    ({"name": "bolt", "layers": [{"hight": 1}]}, "layers[0].hight", "layers[0].hight: there is no such field"),
    ({"name": "bolt", "spares": {"a": "b"}}, "spares[...]", "spares[...]: expected `int`, got `str`"),
    ({"name": "bolt", "limit": True}, "limit", "limit: expected `int`, got `bool`"),
    ({"name": "bolt", "limit": "50"}, "limit", "limit: expected `int`, got `str`"),
    ({"name": "bolt", "limit": 1.5}, "limit", "limit: expected `int`, got `float`"),
)


@pytest.mark.parametrize(("body", "field", "message"), REFUSED)
def test_a_value_that_does_not_fit_is_named(body: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        convert(body, Part)
    assert (refused.value.field, refused.value.message) == (field, message)
    assert (refused.value.status, refused.value.code) == (422, "invalid")


@pytest.mark.parametrize(
    "word", ["unknown field", "missing required field", "field `name`", "a - at `$.name`", "`$.x`"]
)
def test_words_of_the_sender_do_not_change_what_is_said(word: str) -> None:
    with pytest.raises(Invalid) as refused:
        convert({"height": 1, "unit": word}, Size)
    assert (refused.value.field, refused.value.message) == ("unit", f"unit: invalid enum value {word!r}")


def test_what_fits_is_converted() -> None:
    part = convert({"name": "bolt", "size": {"height": 9}, "colours": ["a"]}, Part)
    assert part == Part(name="bolt", size=Size(height=9), colours=["a"])


def test_numbers_of_a_query_string_are_spelled_as_text() -> None:
    part = convert({"name": "bolt", "limit": "7", "fragile": "true"}, Part, text=True)
    assert (part.limit, part.fragile) == (7, True)
    with pytest.raises(Invalid, match=r"^limit: expected `int`, got `str`$"):
        convert({"name": "bolt", "limit": "many"}, Part, text=True)


@pytest.mark.parametrize(
    ("raw", "value"),
    [(b"", {}), (b"{}", {}), (b' {"a": [1, null]} ', {"a": [1, None]}), ('{"ä": "é"}'.encode(), {"ä": "é"})],
)
def test_a_body_is_an_object_or_empty(raw: bytes, value: dict[str, Any]) -> None:
    assert json_object(raw) == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[1]", "the body: expected a JSON object, got an array"),
        (b'"text"', "the body: expected a JSON object, got a string"),
        (b"true", "the body: expected a JSON object, got a boolean"),
        (b"5", "the body: expected a JSON object, got a number"),
        (b"5.5", "the body: expected a JSON object, got a number"),
        (b"null", "the body: expected a JSON object, got null"),
        (b"{", "the body is not JSON: Input data was truncated"),
        (b" ", "the body is not JSON: Input data was truncated"),
        (b'{"a": 1,}', "the body is not JSON: JSON is malformed: trailing comma in object (byte 8)"),
        (b'{"a": 1} x', "the body is not JSON: JSON is malformed: trailing characters (byte 10)"),
        (b"a=1", "the body is not JSON: JSON is malformed: invalid character (byte 0)"),
        (b'{"a": NaN}', "the body is not JSON: JSON is malformed: invalid character (byte 6)"),
        (b'{"a": "\xff"}', "the body is not JSON"),
        (b'{"a": "\\ud800"}', "the body is not JSON"),
        (b"\x00\x01", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_what_is_no_object_is_malformed(raw: bytes, message: str) -> None:
    with pytest.raises(Malformed) as refused:
        json_object(raw)
    assert refused.value.message.startswith(message)
    assert (refused.value.status, refused.value.code) == (400, "malformed")

"""Whatever is sent, REST never answers 500, and what it took in never harms the numbers or the next start."""

import base64
import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Service, refused

ORDERS = "/api/work-orders"
JSON = {"Content-Type": "application/json"}
RESOLUTION = {"root_cause": "a", "fix_applied": "b", "prevention_added": "c", "resolver": "ana"}


@pytest.fixture(autouse=True)
def the_service_stays_well(service: Service) -> Iterator[None]:
    """No test makes it ill: every collector works, a snapshot can be taken, and nothing failed inside."""
    before = ills(service)
    yield
    assert ills(service) <= before


def ills(service: Service) -> set[str]:
    refreshed = service.ask("POST", "/api/metrics/refresh")
    parts = service.get("/api/health").json()["services"]
    failures = [line for line in service.log().splitlines() if '"level":"error","event":"request"' in line]
    ill = {name for name, part in parts.items() if part["status"] != "ok"} | set(failures)
    return ill | ({refreshed.text} if refreshed.status_code != 200 else set())


def harmless(answer: Any) -> None:
    """Answered, and where refused in the shape of errors."""
    assert answer.status_code < 500, answer.text[:300]
    if answer.status_code >= 400:
        error = answer.json()["error"]
        refused(answer, answer.status_code, error["code"], error["field"])


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


VALUES = {
    "a number beyond floats": b"1e400", "a negative one": b"-1e400", "the greatest float": b"1.7976931348623157e308",
    "NaN": b"NaN", "Infinity": b"Infinity", "30 digits": b"9" * 30, "5,000 digits": b"9" * 5000,
    "2^63": b"9223372036854775808",
    "-2^63-1": b"-9223372036854775809", "2^64": b"18446744073709551616", "a small float": b"1e-400",
    "a leading zero": b"01",
    "a lone surrogate": b'"\\ud800"', "a low one": b'"\\udc00x"', "one in UTF-8": b'"\xed\xa0\x80"',
    "NUL": b'"\\u0000"',
    "a bare NUL": b'"\x00"', "bad UTF-8": b'"\xff\xfe"', "an emoji": '"\U0001f525"'.encode(),
    "1 MiB": b'"' + b"x" * (1 << 20) + b'"',
    "nearly 1 MiB": b'"' + b"x" * ((1 << 20) - 500) + b'"', "10,000 arrays": nested(10_000),
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "arrays never closed": b"[" * 10_000, "controls": b'"\\r\\n\\u001b[31m\\u2028"',
    "a right-to-left override": b'"\\u202e"',
    "true": b"true", "null": b"null", "an object": b"{}", "SQL": b'"\'; DROP TABLE ledger; --"',
    "a template": b'"{{7*7}}<script>"',
}  # fmt: skip
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "description": lambda value: b'{"description":%s}' % value,
    "priority": lambda value: b'{"description":"x","priority":%s}' % value,
    "bucket": lambda value: b'{"description":"x","bucket":%s}' % value,
    "sku_id": lambda value: b'{"description":"x","sku_id":%s}' % value,
    "external_id": lambda value: b'{"description":"x","external_id":%s}' % value,
    "dependencies": lambda value: b'{"description":"x","dependencies":[%s]}' % value,
    "labels": lambda value: b'{"description":"x","labels":[%s]}' % value,
    "metadata": lambda value: b'{"description":"x","metadata":{"x":%s}}' % value,
    "occurred_at": lambda value: b'{"description":"x","occurred_at":%s}' % value,
    "an unknown field": lambda value: b'{"description":"x","x":%s}' % value,
    "the whole body": lambda value: value,
}


@pytest.mark.parametrize("place", PLACES)
def test_no_value_in_a_new_order_is_a_500(place: str, service: Service) -> None:
    for name, value in VALUES.items():
        answer = service.ask("POST", ORDERS, data=PLACES[place](value), headers=JSON)
        assert answer.status_code < 500, name
        harmless(answer)
        if answer.status_code == 201:
            harmless(service.get(answer.headers["Location"]))
    harmless(service.get(ORDERS, limit=500))


def test_no_value_in_an_andon_is_a_500(service: Service) -> None:
    for place in (
        b'"failure_type":%s,"sku_id":"s"', b'"failure_type":"x","sku_id":%s',
        b'"failure_type":"x","sku_id":"s","stage":%s', b'"failure_type":"x","sku_id":"s","details":{"x":%s}',
        b'"failure_type":"x","sku_id":"s","occurred_at":%s',
    ):  # fmt: skip
        for value in VALUES.values():
            harmless(service.ask("POST", "/api/andon", data=b"{" + place % value + b"}", headers=JSON))
    harmless(service.get("/api/andon", limit=500))
    harmless(service.get("/api/facts", limit=500))


def test_no_value_of_a_limit_or_a_transition_is_a_500(service: Service) -> None:
    order, andon = service.create(), service.cord()
    for value in VALUES.values():
        harmless(service.ask("PUT", "/api/kanban/cost", data=b'{"limit":%s}' % value, headers=JSON))
        for path, place in [
            (f"{ORDERS}/{order}/progress", b'{"stage":%s}'), (f"{ORDERS}/{order}/dependencies", b'{"depends_on":%s}'),
            (f"{ORDERS}/pull", b'{"bucket":%s}'), (f"/api/andon/{andon}/acknowledge", b'{"note":%s}'),
        ]:  # fmt: skip
            harmless(service.ask("POST", path, data=place % value, headers=JSON))


def test_details_of_any_depth_leave_the_numbers_alone(launch: Callable[..., Service]) -> None:
    """At the edge of what the parser takes, what is read back must not be too deep for those who read it."""
    service = launch()
    for depth in (*range(50, 900, 50), *range(900, 1000)):
        body = b'{"failure_type":"x","sku_id":"deep","details":{"x":%s}}' % nested(depth)
        harmless(service.ask("POST", "/api/andon", data=body, headers=JSON))
        body = b'{"description":"x","metadata":{"x":%s}}' % nested(depth)
        harmless(service.ask("POST", ORDERS, data=body, headers=JSON))
    harmless(service.ask("POST", "/api/metrics/refresh"))
    for path in (ORDERS, f"{ORDERS}/next", "/api/andon", "/api/facts"):
        answer = service.get(path, limit=500)
        harmless(answer)
        answer.json()
    assert not ills(service)


def test_the_last_of_duplicated_keys_counts_or_all_are_refused(service: Service) -> None:
    answer = service.ask("POST", ORDERS, data=b'{"description":"first","description":"last"}', headers=JSON)
    harmless(answer)
    if answer.status_code == 201:
        assert answer.json()["description"] == "last"


def test_text_comes_back_to_the_letter(service: Service) -> None:
    for text in (
        "NUL \0 inside",
        "\U0001f525 ü 東京",
        "\u2028\u202e",
        "a\r\nb\tc",
        "'; DROP TABLE work_order; --",
        "<b>{{7*7}}</b>",
    ):
        order = service.create(
            description=text, sku_id=f"sku {text}", external_id=f"T {text}", labels=[text], metadata={text: text}
        )
        shown = service.get(f"{ORDERS}/{order}").json()
        assert (shown["description"], shown["labels"], shown["metadata"]) == (text, [text], {text: text})
        found = service.get(ORDERS, sku_id=f"sku {text}").json()["work_orders"]
        assert [one["id"] for one in found] == [order], repr(text)
        service.cord(sku_id=f"sku {text}")
        page = service.get("/").text
        assert "<b>{{" not in page
        assert "49</b>" not in page


IDS = (
    "%00", "WO-%00", "..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%ff%fe", "%ed%a0%80", "WO-1%0d%0aX-Injected:%201",
    "WO--1",
    "WO-1e9", "WO-999999999999999999", "WO-9223372036854775808", "WO-" + "9" * 4000, "wo-1", "%F0%9F%94%A5",
    "WO-%D9%A1", "'",
    "WO-1;DROP", "null", "undefined", "*", "%", "%zz", "%25", "WO-1%20", "%20WO-1", "+", "next%00", "{id}",
)  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_hostile_ids_are_not_found(name: str, service: Service) -> None:
    for method, path in [
        ("GET", f"{ORDERS}/{name}"), ("PATCH", f"{ORDERS}/{name}"), ("POST", f"{ORDERS}/{name}/start"),
        ("GET", f"/api/andon/{name}"),
        ("POST", f"/api/andon/{name}/acknowledge"), ("PUT", f"/api/kanban/{name}"), ("DELETE", f"/api/cache/{name}"),
        ("GET", f"/api/metrics/{name}"), ("POST", f"/api/ingest/{name}"), ("GET", f"/api/export/{name}"),
    ]:  # fmt: skip
        body = {"limit": 1} if method == "PUT" else {"priority": 1} if method == "PATCH" else None
        head, _, rest = exchange(service, method, path, body).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert 400 <= status < 500, (method, path, head[:200])
        assert b"X-Injected" not in head
        assert json.loads(rest)["error"]["message"], (method, path)


def exchange(service: Service, method: str, path: str, body: Any = None) -> bytes:
    """The raw answer: requests would clean up the path first."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return raw(service, f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)


def raw(service: Service, *pieces: bytes) -> bytes:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        answer = b""
        with suppress(OSError):  # it may hang up on what makes no sense
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02 if len(pieces) > 1 else 0)
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65_536):
                answer += block
    return answer


def test_an_id_has_one_spelling(launch: Callable[..., Service]) -> None:
    """Facts carry ids, and views know them by the one spelling that was given out."""
    service = launch()
    order, andon = service.create(), service.cord(sku_id="sku-spelling")
    padded = andon.replace("-", "-0")
    service.post(f"/api/andon/{padded}/acknowledge")
    assert not ills(service)
    for path in (f"{ORDERS}/{order.replace('-', '-00')}", f"/api/andon/{padded}"):
        refused(service.get(path), 404, "not_found", "id")
    refused(service.post(f"/api/andon/{padded}/resolve", **RESOLUTION), 404, "not_found", "id")
    assert not ills(service)


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        *(f"cursor={cursor(text)}"
          for text in ("9" * 20 + ".1", "1." + "9" * 20, "1", "a.b", "-1.-1", "1.2.3", "9" * 5000 + ".1")),
        "cursor=%00", "cursor=%ff", "cursor=" + "A" * 6000, "limit=%00", "limit=" + "9" * 30, "limit=-0", "limit=1e2",
        "limit=٣", "limit=",
        "since=" + "9" * 30, "since=9223372036854775808", "since=1.5", "kind=%00", "kind=" + "x" * 6000, "sku_id=%00",
        "sku_id=%ff", "status=%ff", "&&&", "=", "%",
        "limit=1&limit=2", "limit[]=1", "a" * 6000 + "=1",
    ],
    ids=lambda query: query[:24],
)  # fmt: skip
def test_hostile_query_strings_are_no_500(query: str, service: Service) -> None:
    for path in (
        ORDERS,
        f"{ORDERS}/next",
        "/api/andon",
        "/api/facts",
        "/api/metrics/all",
        "/api/export/json",
        f"{ORDERS}/WO-1",
    ):
        harmless(service.ask("GET", f"{path}?{query}"))


@pytest.mark.parametrize("key", ["x" * 4000, "é", "a,b", "%00", "'; --"])
def test_hostile_idempotency_keys_are_no_500(key: str, service: Service) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answers = [service.ask("POST", ORDERS, json={"description": "x"}, headers=headers) for _ in range(2)]
    for answer in answers:
        harmless(answer)
    assert answers[0].json() == answers[1].json()


FILES = {
    "nothing": b"", "spaces": b"   \n\n", "a header alone": b"id,created_at\n", "binary": bytes(range(256)),
    "NULs": b"id,created_at\n\0,\0\n",
    "no gzip": b"\x1f\x8b" + b"x" * 50, "quotes never closed": b'id,created_at\n"I-1,1000\n' + b"x\n" * 1000,
    "one long line": b"id," + b"x" * 100_000,
    "a long cell": b"id,created_at\n" + b"x" * 200_000 + b",1000\n",
    "huge times": b"id,created_at\nI-1," + b"9" * 5000 + b"\nI-2,99999999999999999999\n",
    "odd digits": "id,created_at\nI-1,١٢٣\nI-2,²\n".encode(),
    "times that end": b"id,created_at\nI-1,9999-12-31T23:59:59Z\nI-2,0001-01-01T00:00:00Z\n",
    "the edge of zones": b"id,created_at\nI-1,0001-01-01T00:00:00+23:59\n",
    "UTF-16": "id,created_at\nI-1,1000\n".encode("utf-16"),
    "a column twice": b"id,id,created_at\na,b,1000\n", "columns missing": b"id,created_at\nI-1\n",
    "columns over": b"id,created_at\nI-1,1000,1,2,3\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_hostile_files_are_no_500(name: str, service: Service) -> None:
    harmless(service.ingest(FILES[name]))
    harmless(service.ingest(FILES[name], timezone="Europe/Rome"))
    harmless(service.ingest(FILES[name], activity="created_at", item="id", time="created_at"))


HEAD = b"POST /api/work-orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"-5\r\n{}\r\n"),
        (HEAD + b"Content-Length: abc\r\n\r\n{}",), (HEAD + b"Content-Length: -5\r\n\r\n{}",),
        (HEAD + b"Content-Length: 500\r\n\r\n{}",),
        (b"nonsense\r\n\r\n",), (b"\x16\x03\x01\x02\x00\x01\x00",), (b"GET /api/work-orders HTTP/9.9\r\n\r\n",),
        (b"GET " + b"/x" * 10_000 + b" HTTP/1.1\r\n\r\n",),
        (HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",),
        (b"GET /api/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 3000),),
    ],
    ids=lambda pieces: pieces[0].split(b"\r\n")[-3 if len(pieces) > 1 else 0][:30].decode("latin-1"),
)  # fmt: skip
def test_broken_http_is_refused_and_harms_nobody(pieces: tuple[bytes, ...], service: Service) -> None:
    answer = raw(service, *pieces)
    assert not answer or 400 <= int(answer.split()[1]) < 500, answer[:300]


@pytest.mark.parametrize("size", [b"z", b"-1", b"0x2", b"", b"f" * 40], ids=repr)
def test_what_follows_a_broken_chunk_is_no_request(size: bytes, service: Service) -> None:
    """Otherwise a body that a proxy lets through could hold a request that the proxy never saw."""
    hidden = b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(service, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", size + b"\r\n" + hidden + hidden)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"status"' not in answer


def test_a_database_that_took_all_this_starts_again(
    service: Service, launch: Callable[..., Service], tmp_path: Path
) -> None:
    """The last of this file, on what the tests before it left in the database."""
    with closing(sqlite3.connect(service.database)) as source, closing(sqlite3.connect(tmp_path / "tcps.db")) as copy:
        source.backup(copy)
    again = launch()
    assert not ills(again)
    documents = again.refresh(), service.refresh()
    for name, number in [("overview", "total_work_orders"), ("overview", "open_andons"), ("andon", "unacknowledged")]:
        assert documents[0][name][number] == documents[1][name][number]

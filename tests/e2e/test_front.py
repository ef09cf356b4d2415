"""The ready documents and /metrics: encodings, validators, keep-alive, ages, the cache, and 503 while folding."""

import gzip
import http.client
import json
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Service, at_once, now, refused

NAMES = ("overview", "quality", "kanban", "andon", "kaizen", "flow")
DOCUMENTS = [f"/api/metrics/{name}" for name in (*NAMES, "all")]
FRONT = [*DOCUMENTS, "/metrics"]
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def connect(service: Service) -> http.client.HTTPConnection:
    host, port = service.url.removeprefix("http://").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=10)


def asked(connection: http.client.HTTPConnection, method: str, path: str, **headers: str) -> tuple[Any, bytes]:
    """Over this connection, with no header but the given ones. (answer, body)"""
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("path", FRONT)
def test_each_has_its_type_and_its_length(path: str, service: Service) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == (TEXT if path == "/metrics" else "application/json")
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "no-cache"
    with closing(connect(service)) as connection:
        plain, body = asked(connection, "GET", path)
        assert plain.getheader("Content-Encoding") is None
        assert int(plain.getheader("Content-Length")) == len(body) > 100


@pytest.mark.parametrize("name", NAMES)
def test_a_document_says_when_it_was_collected(name: str, service: Service) -> None:
    document = service.get(f"/api/metrics/{name}").json()
    assert document.keys() > {"timestamp", "age_seconds", "window_seconds", "stale"}
    assert now() - 10_000 < document["timestamp"] <= now()
    assert document["stale"] is False


def test_all_holds_each_document_of_one_moment(service: Service) -> None:
    everything = service.get("/api/metrics/all").json()
    assert everything.keys() == {*NAMES, "timestamp"}
    assert {everything[name]["timestamp"] for name in NAMES} == {everything["timestamp"]}


@pytest.mark.parametrize("path", ["/api/metrics/all", "/metrics"])
@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True), ("gzip, deflate, br", True), ("br;q=1.0, gzip;q=0.8, *;q=0.1", True), ("deflate,gzip", True),
        ("gzip;q=0.001", True),
        ("gzip ; q=1", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("gzip;q=0.000, identity", False),
        ("gzip;Q=0", False),
        ("identity", False), ("deflate", False), ("", False), ("notgzip", False), ("br, gzip;q=0", False),
    ],
)  # fmt: skip
def test_gzip_is_used_where_it_is_accepted(accepted: str, zipped: bool, path: str, service: Service) -> None:
    with closing(connect(service)) as connection:
        answer, body = asked(connection, "GET", path, Accept_Encoding=accepted)
        assert (answer.getheader("Content-Encoding") == "gzip") is zipped
        assert int(answer.getheader("Content-Length")) == len(body)
        text = (gzip.decompress(body) if zipped else body).decode()
    assert text.startswith("# HELP" if path == "/metrics" else "{")


def test_a_validator_is_answered_304_until_the_body_changes(service: Service) -> None:
    with closing(connect(service)) as connection:
        wait_for_a_fresh_second()
        tags = {path: asked(connection, "GET", path)[0].getheader("ETag") for path in FRONT}
        for path, tag in tags.items():
            for given in (tag, f'"other", {tag}'):
                answer, body = asked(connection, "GET", path, If_None_Match=given)
                assert (answer.status, body, answer.getheader("ETag")) == (304, b"", tag), path
            assert asked(connection, "HEAD", path, If_None_Match=tag)[0].status == 304
            assert asked(connection, "GET", path, If_None_Match='W/"other"')[0].status == 200
        service.create()
        service.refresh()
        for path, tag in tags.items():
            assert asked(connection, "GET", path, If_None_Match=tag)[0].status == 200


@pytest.mark.parametrize("spelled", ["*", "strong"])
def test_a_validator_is_compared_weakly_and_a_star_matches_all(spelled: str, service: Service) -> None:
    with closing(connect(service)) as connection:
        wait_for_a_fresh_second()
        tag = asked(connection, "GET", "/metrics")[0].getheader("ETag").removeprefix("W/")
        assert asked(connection, "GET", "/metrics", If_None_Match="*" if spelled == "*" else tag)[0].status == 304


def wait_for_a_fresh_second() -> None:
    """Bodies are rendered once a second: what must come twice from the same one begins with it."""
    time.sleep(1.02 - time.time() % 1)


def test_head_tells_the_length_and_the_connection_goes_on(service: Service) -> None:
    with closing(connect(service)) as connection:
        wait_for_a_fresh_second()
        for path in (*FRONT, "/api/work-orders", "/api/openapi.json", "/nothing", "/api/nothing"):
            for encoding in ("identity", "gzip"):
                head, nothing = asked(connection, "HEAD", path, Accept_Encoding=encoding)
                assert nothing == b""
                got, body = asked(connection, "GET", path, Accept_Encoding=encoding)
                assert head.status == got.status
                assert int(head.getheader("Content-Length")) == len(body), path
        answer, body = asked(connection, "GET", "/api/health/live")
        assert (answer.status, json.loads(body)) == (200, {"status": "ok"})


def test_refused_requests_leave_the_connection_usable(service: Service) -> None:
    with closing(connect(service)) as connection:
        paths = "POST /api/metrics/all", "GET /api/metrics/all?x=1", "DELETE /metrics", "POST /api/work-orders"
        for method, path in map(str.split, paths):
            connection.request(method, path, body=b"x" * 5000)
            answer = connection.getresponse()
            assert answer.status in (405, 415, 422)
            assert "error" in json.loads(answer.read())
        assert asked(connection, "GET", "/api/health/live")[0].status == 200


def test_age_grows_until_the_next_snapshot(launch: Callable[..., Service]) -> None:
    service = launch(env={"TCPS_REFRESH_INTERVAL": "1h"})
    before = service.refresh()
    assert before["flow"]["age_seconds"] == 0
    time.sleep(2.1)
    later, everything = (service.get(path).json() for path in ("/api/metrics/flow", "/api/metrics/all"))
    assert later["timestamp"] == everything["timestamp"] == before["timestamp"]
    assert later["age_seconds"] in (2, 3)
    assert everything["kanban"]["age_seconds"] in (2, 3)
    assert service.refresh()["flow"]["age_seconds"] == 0


def test_a_refresh_shows_a_write_at_once_everywhere(launch: Callable[..., Service]) -> None:
    service = launch(env={"TCPS_REFRESH_INTERVAL": "1h"})
    for count in range(1, 6):
        service.act(service.create(), "start")
        assert service.get("/api/metrics/overview").json()["total_work_orders"] == count - 1
        assert service.refresh()["overview"]["total_work_orders"] == count
        assert service.get("/api/metrics/overview").json()["total_work_orders"] == count
        assert service.get("/api/metrics/all").json()["kanban"]["total_wip"] == count
        assert f"\ntcps_work_orders_active {count}.0\n" in service.get("/metrics").text


def test_without_a_refresh_a_write_shows_within_the_interval(launch: Callable[..., Service]) -> None:
    service = launch(env={"TCPS_REFRESH_INTERVAL": "500ms"})
    service.create()
    time.sleep(1.1)
    assert service.get("/api/metrics/overview").json()["total_work_orders"] == 1


def test_refreshes_at_once_share_collections_and_hold_every_write_before_them(service: Service) -> None:
    before = service.refresh()["overview"]["total_work_orders"]

    def write_and_look() -> Any:
        service.create()
        return service.refresh()

    found = at_once([write_and_look] * 16)
    totals = [document["overview"]["total_work_orders"] - before for document in found]
    assert max(totals) == 16
    assert min(totals) >= 1
    for document in found:
        assert {document[name]["timestamp"] for name in NAMES} == {document["timestamp"]}


def test_the_cache_tells_of_itself_and_its_numbers_add_up(service: Service) -> None:
    assert service.ask("DELETE", "/api/cache").status_code == 200
    service.refresh()
    before = service.get("/api/cache").json()
    assert (before["total_entries"], before["memory_bytes"]) == (0, 0)
    for path in FRONT * 3:
        service.get(path)
    after = service.get("/api/cache").json()
    asked_for = len(FRONT) * 3
    assert after["hits"] + after["misses"] - before["hits"] - before["misses"] == asked_for
    assert after["misses"] - before["misses"] >= len(FRONT)
    assert after["hits"] > before["hits"]
    assert after["hit_rate"] == pytest.approx(after["hits"] / (after["hits"] + after["misses"]))
    assert after["total_entries"] == after["valid_entries"] + after["expired_entries"] == len(FRONT)
    assert after["memory_bytes"] > sum(len(service.get(path).content) for path in FRONT)
    assert after["ttl_seconds"] == 5


def test_an_entry_expires_with_the_snapshot_and_is_deleted_by_its_key(service: Service) -> None:
    service.ask("DELETE", "/api/cache")
    service.refresh()
    service.get("/api/metrics/flow")
    service.refresh()
    assert service.get("/api/cache").json()["expired_entries"] == 1
    service.get("/api/metrics/kanban")
    assert service.ask("DELETE", "/api/cache/kanban").json() == {"deleted": 1}
    assert service.ask("DELETE", "/api/cache/kanban").json() == {"deleted": 0}
    assert service.get("/api/cache").json()["total_entries"] == 1
    misses = service.get("/api/cache").json()["misses"]
    assert service.get("/api/metrics/kanban").status_code == 200
    assert service.get("/api/cache").json()["misses"] == misses + 1
    assert service.ask("DELETE", "/api/cache").json() == {"deleted": 2}


def test_the_body_of_metrics_is_rendered_at_most_once_a_second(service: Service) -> None:
    wait_for_a_fresh_second()
    assert len({service.get("/metrics").content for _ in range(20)}) == 1


@pytest.fixture(scope="module")
def long_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose views have half a million facts to fold."""
    folder = tmp_path_factory.mktemp("long")
    with Service(folder) as service:
        service.ask("PATCH", f"/api/work-orders/{service.create()}", json={"priority": "high"})
    lengthen(service.database, 500_000)
    return service.database


@pytest.fixture
def folding(long_ledger: Path, tmp_path: Path) -> Iterator[Service]:
    """A service on a copy of it that has just told its address."""
    shutil.copy(long_ledger, tmp_path)
    service = Service(tmp_path)
    try:
        yield service.answering()
    finally:
        service.__exit__(None)


def test_while_the_ledger_is_folded_everything_says_how_far_it_is(folding: Service) -> None:
    told = [refused(folding.get("/api/metrics/overview"), 503, "folding")["details"]["progress"]]
    health = folding.get("/api/health")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    for path in ("/metrics", "/api/export/json", "/api/metrics/refresh"):
        answer = folding.ask("POST" if path.endswith("refresh") else "GET", path)
        refused(answer, 503, "folding")
        assert int(answer.headers["Retry-After"]) >= 1
    assert folding.post("/api/work-orders", description="the tables are true at once").status_code == 201
    while (answer := folding.get("/api/metrics/overview")).status_code == 503:
        told.append(refused(answer, 503, "folding")["details"]["progress"])
    assert 0 <= told[0] < told[-1] <= 1
    assert told == sorted(told)
    assert folding.refresh()["overview"]["total_work_orders"] == 2


def test_sigterm_ends_a_service_that_still_folds(folding: Service) -> None:
    began = time.monotonic()
    folding.stop()
    assert time.monotonic() - began < 3
    assert "Traceback" not in folding.stderr()


def test_folding_keeps_nobody_waiting(folding: Service) -> None:
    """The views are folded by pages, and between two of them whoever waits is served."""
    begun, waits = time.monotonic(), []
    while folding.get("/metrics").status_code == 503:
        with closing(connect(folding)) as connection:
            asked_at = time.monotonic()
            assert asked(connection, "GET", "/api/health/live")[0].status == 200
            waits.append(time.monotonic() - asked_at)
    took = time.monotonic() - begun
    assert statistics.median(waits) < took / 3, (round(took, 3), [round(wait, 3) for wait in waits])


def lengthen(database: Path, facts: int) -> None:
    """The last fact so many times more in the ledger, and no checkpoint that spares anybody folding them."""
    with closing(sqlite3.connect(database)) as db:
        (head,) = db.execute("SELECT seq FROM ledger_head").fetchone()
        row = db.execute("SELECT kind, occurred_at, recorded_at, by, data FROM ledger WHERE seq = ?", [head]).fetchone()
        rows = ((seq, *row) for seq in range(head + 1, head + facts + 1))
        columns = 'seq, kind, occurred_at, recorded_at, "by", data'
        db.executemany(f"INSERT INTO ledger ({columns}) VALUES (?,?,?,?,?,?)", rows)
        db.execute("UPDATE ledger_head SET seq = ?", [head + facts])
        db.execute("DELETE FROM checkpoint")
        db.commit()

"""A request that comes again with its Idempotency-Key gets the first answer again, and changes nothing more."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.process import HOUR, Service, at_once, now, refused

ORDERS = "/api/work-orders"
FILE = b"id,created_at\nI-1,1000\nI-2,2000\n"


def keyed(service: Service, key: str, path: str = ORDERS, method: str = "POST", **more: Any) -> requests.Response:
    return service.ask(method, path, headers={"Idempotency-Key": key}, **more)


def same(first: requests.Response, second: requests.Response) -> bool:
    told = [(one.status_code, one.content, one.headers.get("Location")) for one in (first, second)]
    return told[0] == told[1]


def test_a_repeated_creation_is_answered_to_the_letter_and_made_once(service: Service) -> None:
    first, second = (keyed(service, "k-create", json={"description": "x", "sku_id": "sku-k"}) for _ in range(2))
    assert first.status_code == 201
    assert same(first, second)
    assert len(service.get(ORDERS, sku_id="sku-k").json()["work_orders"]) == 1


def test_the_answer_stays_the_first_after_the_state_went_on(service: Service) -> None:
    order = service.create()
    first = keyed(service, "k-start", f"{ORDERS}/{order}/start", json={})
    service.act(order, "complete")
    assert first.json()["status"] == "in_progress"
    assert same(first, keyed(service, "k-start", f"{ORDERS}/{order}/start", json={}))
    assert service.get(f"{ORDERS}/{order}").json()["status"] == "completed"


def test_a_refusal_by_state_is_repeated_and_an_invalid_request_may_be_mended(service: Service) -> None:
    order = service.create()
    first = keyed(service, "k-409", f"{ORDERS}/{order}/complete", json={})
    refused(first, 409, "invalid_state", "status")
    service.act(order, "start")
    assert same(first, keyed(service, "k-409", f"{ORDERS}/{order}/complete", json={}))
    refused(keyed(service, "k-mend", json={}), 422, "invalid", "description")
    assert keyed(service, "k-mend", json={"description": "x"}).status_code == 201


def test_a_key_belongs_to_one_request(service: Service) -> None:
    keyed(service, "k-one", json={"description": "x"})
    for answer in (
        keyed(service, "k-one", json={"description": "y"}),
        keyed(service, "k-one", "/api/andon", json={"failure_type": "x", "sku_id": "s"}),
        keyed(service, "k-one", "/api/metrics/refresh"),
        keyed(service, "k-one", "/api/ingest/csv", data=FILE),
    ):
        refused(answer, 422, "idempotency_key_reused", "Idempotency-Key")


def test_an_empty_key_is_no_key(service: Service) -> None:
    """Otherwise everybody who sends the header empty would get the answer of the first of them."""
    answers = [keyed(service, "", json={"description": text}) for text in ("one", "two")]
    assert [answer.json().get("description") for answer in answers] == ["one", "two"] or {
        answer.status_code for answer in answers
    } == {422}


def test_an_import_and_a_refresh_are_repeated_too(service: Service) -> None:
    first, second = (keyed(service, "k-file", "/api/ingest/csv", data=FILE) for _ in range(2))
    assert (first.json()["outcome"], first.json()["facts"]) == ("accepted", 2)
    assert same(first, second)
    assert service.ingest(FILE).json()["outcome"] == "duplicate"
    first = keyed(service, "k-refresh", "/api/metrics/refresh")
    service.create()
    assert same(first, keyed(service, "k-refresh", "/api/metrics/refresh"))


def test_another_file_under_the_same_key_is_another_request(service: Service) -> None:
    keyed(service, "k-files", "/api/ingest/csv", data=b"id,created_at\nF-1,1000\n")
    answer = keyed(service, "k-files", "/api/ingest/csv", data=b"id,created_at\nF-2,2000\n")
    if answer.status_code == 200:
        assert answer.json()["outcome"] == "accepted"
        assert service.get(ORDERS, limit=500).text.count('"F-2"') >= 1, "answered as accepted, but it was never read"
    else:
        refused(answer, 422, "idempotency_key_reused", "Idempotency-Key")


@pytest.mark.parametrize("path", [ORDERS, "/api/ingest/csv", "/api/metrics/refresh"])
def test_several_at_once_with_one_key_are_done_once(path: str, service: Service) -> None:
    bodies: dict[str, dict[str, Any]] = {ORDERS: {"json": {"description": "x"}}, "/api/ingest/csv": {"data": FILE}}
    more = bodies.get(path, {})
    service.refresh()
    before = len(service.facts())
    answers = at_once([lambda: keyed(service, f"k-race {path}", path, **more)] * 8)
    assert {answer.status_code for answer in answers} == {201 if path == ORDERS else 200}
    assert all(same(answers[0], answer) for answer in answers)
    if path == ORDERS:
        assert len(service.facts()) - before == 1


def test_keys_are_kept_over_a_restart_and_for_24_hours(launch: Callable[..., Service], tmp_path: Path) -> None:
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "refresh": ("/api/metrics/refresh", {}), "create": (ORDERS, {"json": {"description": "x"}}),
    }  # fmt: skip
    service: Service = launch()
    first: dict[str, Any] = {name: keyed(service, name, path, **more) for name, (path, more) in made.items()}
    for hours, again in [(23, True), (25, False)]:
        service.stop()
        with closing(sqlite3.connect(tmp_path / "tcps.db")) as database:
            database.execute("UPDATE idempotent_answer SET at = ?", [now() - hours * HOUR])
            database.commit()
        service = launch()
        for name, (path, more) in made.items():
            assert same(first[name], keyed(service, name, path, **more)) is again, (name, hours)

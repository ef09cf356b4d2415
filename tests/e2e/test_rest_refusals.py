"""What REST refuses: each status of the contract, in the one shape, naming the field, with nothing changed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.e2e.process import HOUR, MINUTE, Service, at_once, labelled, now, refused

ORDERS = "/api/work-orders"
RESOLUTION = {"root_cause": "a", "fix_applied": "b", "prevention_added": "c", "resolver": "ana"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def nothing_changes_where_all_is_refused(request: pytest.FixtureRequest, service: Service) -> Iterator[None]:
    """Tests with `only` in their name make only requests that are refused: then the ledger stays as it was."""
    before = len(service.facts())
    yield
    if "only" in request.node.name:
        assert len(service.facts()) == before


# --- 400, 404, 405, 413, 415 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nonsense", b"[]", b'"text"', b"1", b"null", b'{"a":}', b"\xff\xfe", b'{"a":1}{}',
    ],
)  # fmt: skip
def test_only_400_for_a_body_that_is_no_json_object(body: bytes, service: Service) -> None:
    refused(service.ask("POST", ORDERS, data=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"), ("GET", "/api/"), ("GET", "/api/nothing"), ("POST", "/api/nothing"), ("GET", "/api/metrics"),
        ("GET", "/api/metrics/nothing"), ("POST", "/api/ingest/nothing"), ("GET", "/api/work-orders/WO-1/nothing"),
    ],
)  # fmt: skip
def test_only_404_for_a_path_that_leads_nowhere(method: str, path: str, service: Service) -> None:
    refused(service.ask(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{ORDERS}/WO-999999", None), ("PATCH", f"{ORDERS}/WO-999999", {"priority": 1}),
        ("POST", f"{ORDERS}/WO-999999/start", {}), ("POST", f"{ORDERS}/WO-999999/progress", {"stage": "testing"}),
        ("POST", f"{ORDERS}/WO-999999/complete", {}), ("POST", f"{ORDERS}/WO-999999/reopen", {}),
        ("POST", f"{ORDERS}/WO-999999/cancel", {"reason": "x"}), ("GET", f"{ORDERS}/nonsense", None),
        ("POST", f"{ORDERS}/WO-999999/dependencies", {"depends_on": "WO-1"}),
        ("DELETE", f"{ORDERS}/WO-999999/dependencies", {"depends_on": "WO-1"}),
        ("GET", "/api/andon/AND-999999", None), ("GET", "/api/andon/WO-1", None),
        ("POST", "/api/andon/AND-999999/acknowledge", {}), ("POST", "/api/andon/AND-999999/resolve", RESOLUTION),
    ],
)  # fmt: skip
def test_only_404_for_an_id_that_nobody_has(method: str, path: str, body: Any, service: Service) -> None:
    refused(service.ask(method, path, json=body), 404, "not_found", "id")


def test_only_404_naming_what_there_is(service: Service) -> None:
    nowhere = service.ask("PUT", "/api/kanban/nothing", json={"limit": 1})
    assert "reliability" in refused(nowhere, 404, "not_found", "bucket")["message"]
    assert "overview" in refused(service.ask("DELETE", "/api/cache/nothing"), 404, "not_found", "key")["message"]
    refused(service.get("/api/export/xml"), 404, "not_found", "format")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", ORDERS, {"GET", "POST"}), ("PUT", f"{ORDERS}/WO-1", {"GET", "PATCH"}),
        ("GET", f"{ORDERS}/WO-1/start", {"POST"}),
        ("PATCH", "/api/andon", {"GET", "POST"}), ("POST", "/api/kanban/cost", {"PUT"}),
        ("POST", "/api/facts", {"GET"}),
        ("GET", "/api/metrics/refresh", {"POST"}), ("POST", "/api/metrics/overview", {"GET", "HEAD"}),
        ("DELETE", "/api/metrics/all", {"GET", "HEAD"}), ("GET", "/api/ingest/csv", {"POST"}),
        ("POST", "/api/cache", {"GET", "DELETE"}),
        ("GET", "/api/cache/all", {"DELETE"}), ("POST", "/api/openapi.json", {"GET"}), ("POST", "/api/health", {"GET"}),
        ("NONSENSE", ORDERS, {"GET", "POST"}), ("PUT", "/metrics", {"GET", "HEAD"}),
    ],
)  # fmt: skip
def test_only_405_with_what_is_allowed(method: str, path: str, allowed: set[str], service: Service) -> None:
    answer = service.ask(method, path)
    refused(answer, 405, "method_not_allowed")
    offered = set(answer.headers["Allow"].replace(" ", "").split(","))
    assert allowed <= offered
    assert method not in offered


def pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
def test_only_413_for_a_body_beyond_max_body(chunked: bool, service: Service) -> None:
    body = b'{"description":"' + b"a" * (1 << 20) + b'"}'
    answer = service.ask("POST", ORDERS, data=pieces(body) if chunked else body, headers=JSON)
    assert "1048576" in refused(answer, 413, "too_large")["message"]
    assert service.get("/api/health/live").status_code == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
def test_a_file_may_be_longer_than_a_body_but_not_than_max_ingest(chunked: bool, launch: Any) -> None:
    service = launch(env={"TCPS_MAX_BODY": "2000", "TCPS_MAX_INGEST": "8000"})
    rows = [f"I-{number},{number}" for number in range(1000)]

    def file(size: int) -> bytes | Iterator[bytes]:
        text = "\n".join(["id,created_at", *rows])[:size].rpartition("\n")[0].encode()
        return pieces(text) if chunked else text

    assert service.ingest(file(7000)).json()["outcome"] == "accepted"
    before = len(service.facts())
    assert refused(service.ingest(file(9000)), 413, "too_large")["message"]
    assert len(service.facts()) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_only_415_for_a_body_of_another_kind(kind: str, service: Service) -> None:
    answer = service.ask("POST", ORDERS, data=b'{"description":"x"}', headers={"Content-Type": kind})
    refused(answer, 415, "unsupported_media_type")


# --- 422 ---------------------------------------------------------------------------------------------------------

AHEAD = 4102444800000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "description"), ({"description": ""}, "description"), ({"description": 1}, "description"),
        ({"description": "x" * 2001}, "description"), ({"description": "x", "nothing": 1}, "nothing"),
        ({"description": "x", "id": "WO-1"}, "id"), ({"description": "x", "status": "completed"}, "status"),
        *(({"description": "x", "priority": wrong}, "priority") for wrong in (0, 11, -1, "urgent", 5.5, True, [5])),
        ({"description": "x", "bucket": "nothing"}, "bucket"), ({"description": "x", "bucket": 1}, "bucket"),
        ({"description": "x", "sku_id": ""}, "sku_id"), ({"description": "x", "labels": "a"}, "labels"),
        ({"description": "x", "metadata": []}, "metadata"),
        ({"description": "x", "dependencies": ["WO-999999"]}, "dependencies"),
        *(({"description": "x", "occurred_at": wrong}, "occurred_at")
          for wrong in (AHEAD, -1, "yesterday", "2026-11-24", "2026-11-24T06:00:00", "", 1.5, True,
                        "2026-13-01T00:00:00Z", "2026-W48-2T00:00Z", "20261124T060000Z")),
    ],
)  # fmt: skip
def test_only_422_naming_the_field_of_a_new_order(body: dict[str, Any], field: str, service: Service) -> None:
    assert field in refused(service.ask("POST", ORDERS, json=body), 422, "invalid", field)["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "failure_type"), ({"failure_type": "x"}, "sku_id"),
        ({"failure_type": "A b", "sku_id": "s"}, "failure_type"),
        ({"failure_type": "", "sku_id": "s"}, "failure_type"), ({"failure_type": "x\n", "sku_id": "s"}, "failure_type"),
        ({"failure_type": "x", "sku_id": "s", "stage": "nothing"}, "stage"),
        ({"failure_type": "x", "sku_id": "s", "severity": "bad"}, "severity"),
        ({"failure_type": "x", "sku_id": "s", "details": "text"}, "details"),
        ({"failure_type": "x", "sku_id": "s", "nothing": 1}, "nothing"),
        ({"failure_type": "x", "sku_id": "s", "occurred_at": AHEAD}, "occurred_at"),
    ],
)  # fmt: skip
def test_only_422_naming_the_field_of_a_new_andon(body: dict[str, Any], field: str, service: Service) -> None:
    refused(service.ask("POST", "/api/andon", json=body), 422, "invalid", field)


def test_422_naming_what_a_resolution_lacks(service: Service) -> None:
    andon = service.cord(sku_id="sku-lacking")
    for field in RESOLUTION:
        for value in ("", "  "):
            answer = service.post(f"/api/andon/{andon}/resolve", **{**RESOLUTION, field: value})
            refused(answer, 422, "invalid", field)
        rest = {name: text for name, text in RESOLUTION.items() if name != field}
        refused(service.post(f"/api/andon/{andon}/resolve", **rest), 422, "invalid", field)
    refused(service.post(f"/api/andon/{andon}/resolve", **RESOLUTION, kind="odd"), 422, "invalid", "kind")
    refused(service.post(f"/api/andon/{andon}/resolve", **RESOLUTION, whys=["x"] * 6), 422, "invalid", "whys")
    assert service.get(f"/api/andon/{andon}").json()["status"] == "open"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"limit": -1}, {"limit": 2.5}, {"limit": "5"}, {"limit": True}, {"limit": 10**30},
    ],
)  # fmt: skip
def test_only_422_for_a_limit_that_is_none(body: dict[str, Any], service: Service) -> None:
    refused(service.ask("PUT", "/api/kanban/cost", json=body), 422, "invalid", "limit")


def test_422_for_wrong_transitions_of_an_order(service: Service) -> None:
    order = service.create()
    refused(service.act(order, "cancel"), 422, "invalid", "reason")
    refused(service.act(order, "cancel", reason=""), 422, "invalid", "reason")
    refused(service.act(order, "start", nothing=1), 422, "invalid", "nothing")
    refused(service.act(order, "start", id=order), 422, "invalid", "id")
    refused(service.act(order, "start", occurred_at=now() - HOUR), 422, "invalid", "occurred_at")
    refused(service.act(order, "start", occurred_at=now() + 6 * MINUTE), 422, "invalid", "occurred_at")
    refused(service.ask("PATCH", f"{ORDERS}/{order}", json={"priority": 0}), 422, "invalid", "priority")
    refused(service.ask("PATCH", f"{ORDERS}/{order}", json={}), 422, "invalid", "priority")
    refused(service.act(order, "dependencies", depends_on="WO-999999"), 422, "invalid", "depends_on")
    service.act(order, "start", occurred_at=now() + 4 * MINUTE)
    refused(service.act(order, "progress", stage="nothing"), 422, "invalid", "stage")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{ORDERS}?nothing=1", "nothing"), (f"{ORDERS}?status=odd", "status"), (f"{ORDERS}?sla=odd", "sla"),
        (f"{ORDERS}?limit=0", "limit"), (f"{ORDERS}?limit=501", "limit"), (f"{ORDERS}?limit=many", "limit"),
        (f"{ORDERS}?cursor=nonsense", "cursor"), (f"{ORDERS}/next?limit=0", "limit"),
        ("/api/andon?severity=odd", "severity"),
        ("/api/andon?nothing=1", "nothing"), ("/api/andon?cursor=!", "cursor"), ("/api/facts?since=-1", "since"),
        ("/api/facts?limit=501", "limit"), ("/api/facts?nothing=1", "nothing"), ("/api/facts?kind=nothing", "kind"),
        ("/api/metrics/overview?nothing=1", "nothing"), ("/api/metrics/all?nothing", "nothing"),
        ("/api/export/json?nothing=1", "nothing"),
        ("/api/cache?nothing=1", "nothing"), ("/api/work-orders/WO-1?nothing=1", "nothing"),
    ],
)  # fmt: skip
def test_only_422_naming_a_parameter_that_is_unknown_or_wrong(path: str, field: str, service: Service) -> None:
    refused(service.get(path), 422, "invalid", field)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ORDERS}?nothing=1", {"description": "x"}),
        ("POST", "/api/andon?nothing=1", {"failure_type": "x", "sku_id": "s"}),
        ("POST", "/api/metrics/refresh?nothing=1", {}), ("POST", "/api/metrics/refresh", {"nothing": 1}),
    ],
)  # fmt: skip
def test_only_422_for_what_a_command_does_not_know(method: str, path: str, body: Any, service: Service) -> None:
    refused(service.ask(method, path, json=body), 422, "invalid", "nothing")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"nothing": "1"}, "nothing"), ({"activity": "none"}, "activity"), ({"bucket": "odd"}, "bucket"),
        ({"timezone": "Nowhere/Land"}, "timezone"), ({"activity": "id", "map": "a=odd", "time": "created_at"}, "map"),
    ],
)  # fmt: skip
def test_only_422_naming_an_option_of_a_door(options: dict[str, str], field: str, service: Service) -> None:
    refused(service.ingest(b"id,created_at\nI-1,1000\n", **options), 422, "invalid", field)


# --- 409 and 423 -------------------------------------------------------------------------------------------------


def test_409_for_what_the_state_does_not_allow(service: Service) -> None:
    order = service.create()
    for verb in ("complete", "reopen"):
        assert refused(service.act(order, verb), 409, "invalid_state", "status")["details"] == {"status": "queued"}
    refused(service.act(order, "progress", stage="testing"), 409, "invalid_state", "status")
    service.act(order, "start")
    refused(service.act(order, "start"), 409, "invalid_state", "status")
    service.act(order, "complete")
    refused(service.act(order, "cancel", reason="late"), 409, "invalid_state", "status")
    refused(service.act(order, "complete"), 409, "invalid_state", "status")


def test_409_for_a_second_order_of_one_external_id_and_for_a_circle(service: Service) -> None:
    service.create(external_id="T-twice")
    again = service.post(ORDERS, description="x", external_id="T-twice")
    refused(again, 409, "duplicate_external_id", "external_id")
    first, second = service.create(), service.create()
    assert service.act(second, "dependencies", depends_on=first).status_code == 200
    refused(service.act(first, "dependencies", depends_on=second), 409, "dependency_cycle", "dependencies")
    refused(service.act(first, "dependencies", depends_on=first), 409, "dependency_cycle", "dependencies")


def test_start_is_refused_by_state_dependencies_andon_and_limit_in_this_order(launch: Any) -> None:
    service = launch(env={"TCPS_BUCKETS__COST__LIMIT": "1"})
    service.act(service.create(bucket="cost"), "start")
    needed = service.create(bucket="security")
    order = service.create(bucket="cost", sku_id="sku-x", dependencies=[needed])
    andon = service.cord(sku_id="sku-x")
    error = refused(service.act(order, "start"), 409, "blocked_by_dependencies")
    assert error["details"] == {"dependencies": [needed]}
    service.act(needed, "cancel", reason="x")
    error = refused(service.act(order, "start"), 423, "line_stopped", "sku_id")
    assert error["details"]["andons"] == [andon]
    service.post(f"/api/andon/{andon}/acknowledge")
    refused(service.act(order, "start"), 423, "line_stopped", "sku_id")
    service.post(f"/api/andon/{andon}/resolve", **RESOLUTION)
    error = refused(service.act(order, "start"), 409, "wip_limit_reached", "bucket")
    assert error["details"] == {"bucket": "cost", "current": 1, "limit": 1}
    refused(service.post(f"{ORDERS}/pull", bucket="cost"), 409, "wip_limit_reached", "bucket")
    assert labelled(service.samples(), "tcps_kanban_refusals_total")["cost"] == 2
    service.act(order, "cancel", reason="x")
    refused(service.act(order, "start"), 409, "invalid_state", "status")
    refused(service.post(f"{ORDERS}/pull", bucket="cost"), 409, "nothing_to_pull")


def test_complete_is_refused_while_the_sku_has_an_open_andon(service: Service) -> None:
    order = service.create(sku_id="sku-423")
    service.act(order, "start")
    andon = service.cord(sku_id="sku-423", stage="compilation")
    refused(service.act(order, "complete"), 423, "line_stopped", "sku_id")
    service.post(f"/api/andon/{andon}/resolve", **RESOLUTION)
    assert service.act(order, "complete").status_code == 200


def test_pull_skips_what_is_stopped_and_says_when_nothing_is_left(launch: Any) -> None:
    service = launch()
    service.create(sku_id="sku-stopped", priority=10)
    service.cord(sku_id="sku-stopped")
    free = service.create(priority=1)
    assert service.post(f"{ORDERS}/pull").json()["id"] == free
    refused(service.post(f"{ORDERS}/pull"), 409, "nothing_to_pull")


def test_of_several_at_once_exactly_one_answers_and_one_resolves(service: Service) -> None:
    andon = service.cord(sku_id="sku-race")
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("acknowledge", {}, "already_acknowledged"), ("resolve", RESOLUTION, "already_resolved"),
    ]  # fmt: skip
    for verb, body, code in cases:
        answers = at_once([partial(service.post, f"/api/andon/{andon}/{verb}", **body)] * 8)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        for answer in answers:
            if answer.status_code == 409:
                refused(answer, 409, code, "status")


def test_the_last_slot_is_taken_once(launch: Any) -> None:
    service = launch(env={"TCPS_BUCKETS__RELIABILITY__LIMIT": "3"})
    orders = [service.create() for _ in range(10)]
    answers = at_once([partial(service.act, order, "start") for order in orders])
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [409] * 7
    assert service.refresh()["kanban"]["reliability"]["current"] == 3

"""Each route of REST does what it is for. What it refuses is in test_rest_refusals.py."""

import time
from typing import Any

import pytest

from tests.e2e.process import DAY, HOUR, Service, labelled, now

BUCKETS = ("reliability", "security", "cost", "compliance")
ORDER_KEYS = {
    "id", "description", "bucket", "priority", "priority_name", "status", "sku_id", "external_id", "labels", "metadata",
    "current_stage", "dependencies", "sla_deadline_at", "sla_status", "created_at", "started_at", "completed_at",
    "cancelled_at", "history",
}  # fmt: skip
ANDON_KEYS = {
    "id", "failure_type", "sku_id", "stage", "severity", "status", "details", "occurrences", "last_seen_at",
    "timestamp", "acknowledged_at", "acknowledged_by", "note", "escalated", "resolution", "history",
}  # fmt: skip
RESOLUTION = {"root_cause": "a", "fix_applied": "b", "prevention_added": "c", "resolver": "ana"}


@pytest.fixture(autouse=True)
def without_limits(service: Service) -> None:
    """Each test begins with unlimited buckets, so that none fills up for the next."""
    for bucket in BUCKETS:
        assert service.ask("PUT", f"/api/kanban/{bucket}", json={"limit": None}).status_code == 200


# --- work orders -------------------------------------------------------------------------------------------------


def test_a_new_order_answers_201_with_its_location_and_document(service: Service) -> None:
    body = {
        "description": "Fix the login", "priority": "high", "bucket": "security", "sku_id": "sku-new",
        "external_id": "T-1", "labels": ["a", "b"], "metadata": {"n": [1, None, "ü"]},
    }  # fmt: skip
    before = now()
    answer = service.post("/api/work-orders", **body)
    assert answer.status_code == 201
    order = answer.json()
    assert order.keys() == ORDER_KEYS
    assert {name: order[name] for name in body} == {**body, "priority": 7}
    assert (order["priority_name"], order["status"], order["sla_status"]) == ("high", "queued", "on_time")
    assert before - 5 <= order["created_at"] <= now()
    assert order["sla_deadline_at"] == order["created_at"] + 24 * HOUR
    assert [moment["status"] for moment in order["history"]] == ["queued"]
    assert answer.headers["Location"] == f"/api/work-orders/{order['id']}"
    assert service.get(answer.headers["Location"]).json() == order


def test_only_a_description_is_required(service: Service) -> None:
    order = service.post("/api/work-orders", description="x").json()
    assert (order["priority"], order["priority_name"], order["bucket"]) == (5, "medium", "reliability")
    assert (order["sku_id"], order["external_id"], order["labels"], order["metadata"]) == (None, None, [], {})


@pytest.mark.parametrize(
    ("given", "number", "name"),
    [
        ("low", 3, "low"), ("critical", 9, "critical"), (10, 10, "critical"), (1, 1, "low"),
    ],
)  # fmt: skip
def test_a_priority_is_a_word_or_a_number(given: object, number: int, name: str, service: Service) -> None:
    order = service.post("/api/work-orders", description="x", priority=given).json()
    assert (order["priority"], order["priority_name"]) == (number, name)


def test_an_order_goes_from_queued_through_stages_to_completed_and_back(service: Service) -> None:
    order = service.create()
    assert service.act(order, "start").json()["status"] == "in_progress"
    assert service.act(order, "progress", stage="testing").json()["current_stage"] == "test_execution"
    done = service.act(order, "complete").json()
    assert done["status"] == "completed"
    assert done["completed_at"] >= done["started_at"] >= done["created_at"]
    again = service.act(order, "reopen").json()
    assert (again["status"], again["completed_at"]) == ("in_progress", done["completed_at"])
    assert [moment["status"] for moment in again["history"]] == [
        "queued", "in_progress", "in_progress", "completed", "in_progress",
    ]  # fmt: skip
    assert service.act(order, "complete").json()["completed_at"] > done["completed_at"]


def test_an_order_is_cancelled_with_a_reason(service: Service) -> None:
    order = service.create()
    answer = service.act(order, "cancel", reason="no longer needed")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["cancelled_at"] is not None
    assert "no longer needed" in answer.text


def test_event_time_may_lie_in_the_past_in_both_spellings(service: Service) -> None:
    at = now() - 3 * DAY
    order = service.create(occurred_at=at)
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000 + 3600))
    started = service.act(order, "start", occurred_at=f"{second}+00:00").json()
    assert (started["created_at"], started["started_at"]) == (at, (at // 1000 + 3600) * 1000)


def test_patch_changes_priority_and_description(service: Service) -> None:
    order = service.create()
    answer = service.ask("PATCH", f"/api/work-orders/{order}", json={"priority": "critical", "description": "new"})
    assert answer.status_code == 200
    assert (answer.json()["priority"], answer.json()["description"]) == (9, "new")
    only = service.ask("PATCH", f"/api/work-orders/{order}", json={"description": "newer"}).json()
    assert (only["priority"], only["description"]) == (9, "newer")
    assert service.get(f"/api/work-orders/{order}").json() == only


def test_dependencies_block_until_done_and_delete_with_a_body_takes_them_off(service: Service) -> None:
    first, second, third = (service.create() for _ in range(3))
    path = f"/api/work-orders/{third}/dependencies"
    blocked = service.post(path, depends_on=[first, second])
    assert (blocked.status_code, blocked.json()["status"]) == (200, "blocked")
    assert blocked.json()["dependencies"] == [first, second]
    freed = service.ask("DELETE", path, json={"depends_on": second})
    assert (freed.status_code, freed.json()["dependencies"], freed.json()["status"]) == (200, [first], "blocked")
    service.act(first, "start")
    service.act(first, "complete")
    assert service.get(f"/api/work-orders/{third}").json()["status"] == "queued"


def test_the_levelled_order_takes_buckets_in_turn_and_pull_follows_it(launch: Any) -> None:
    service = launch()
    named = {}
    for bucket, priority in [("cost", 1), ("cost", 9), ("security", 5), ("security", 6), ("reliability", 2)]:
        named[service.create(bucket=bucket, priority=priority)] = f"{bucket} {priority}"
    upcoming = [named[order["id"]] for order in service.get("/api/work-orders/next").json()["work_orders"]]
    assert upcoming == ["reliability 2", "security 6", "cost 9", "security 5", "cost 1"]
    two = service.get("/api/work-orders/next", limit=2).json()["work_orders"]
    assert [named[order["id"]] for order in two] == upcoming[:2]
    pulled = [service.post("/api/work-orders/pull").json() for _ in range(5)]
    assert [named[order["id"]] for order in pulled] == upcoming
    assert {order["status"] for order in pulled} == {"in_progress"}


def test_pull_of_a_bucket_takes_only_from_there(service: Service) -> None:
    service.create(bucket="security", priority=10)
    wanted = service.create(bucket="compliance")
    assert service.post("/api/work-orders/pull", bucket="compliance").json()["id"] == wanted


def test_orders_are_listed_newest_first_by_pages_that_stay_put(service: Service) -> None:
    made = [service.create(sku_id="sku-pages", occurred_at=now() - DAY + index) for index in range(7)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.get("/api/work-orders", sku_id="sku-pages", limit=3, **cursor).json()
        seen += [order["id"] for order in page["work_orders"]]
        service.create(sku_id="sku-pages")
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made[::-1]


def test_orders_are_filtered_by_status_bucket_sku_and_sla(service: Service) -> None:
    late = service.create(bucket="security", sku_id="sku-filter", occurred_at=now() - 2 * DAY)
    warned = service.create(bucket="security", sku_id="sku-filter", occurred_at=now() - 20 * HOUR)
    fine = service.create(bucket="cost", sku_id="sku-filter")
    service.act(fine, "start")

    def found(**params: str) -> set[str]:
        page = service.get("/api/work-orders", sku_id="sku-filter", **params).json()
        return {order["id"] for order in page["work_orders"]}

    assert found() == {late, warned, fine}
    assert found(status="in_progress") == {fine}
    assert found(bucket="security") == {late, warned}
    assert found(sla="breached") == {late}
    assert found(sla="warning") == {warned}
    assert found(sla="warning", bucket="cost") == set()


# --- andon -------------------------------------------------------------------------------------------------------


def test_a_cord_is_pulled_answered_and_resolved(service: Service) -> None:
    answer = service.post(
        "/api/andon", failure_type="compilation_failure", sku_id="sku-a", stage="compilation", details={"line": 7}
    )
    assert answer.status_code == 201
    andon = answer.json()
    assert andon.keys() >= ANDON_KEYS
    assert answer.headers["Location"] == f"/api/andon/{andon['id']}"
    assert service.get(answer.headers["Location"]).json() == andon
    assert (andon["severity"], andon["status"], andon["occurrences"]) == ("critical", "open", 1)
    seen = service.post(f"/api/andon/{andon['id']}/acknowledge", by="bo", note="on my way").json()
    assert (seen["status"], seen["acknowledged_by"], seen["note"]) == ("acknowledged", "bo", "on my way")
    done = service.post(f"/api/andon/{andon['id']}/resolve", **RESOLUTION, kind="false_alarm", whys=["1", "2"]).json()
    assert done["status"] == "resolved"
    assert done["resolution"].items() >= {**RESOLUTION, "kind": "false_alarm", "whys": ["1", "2"]}.items()
    assert [moment["status"] for moment in done["history"]] == ["open", "acknowledged", "resolved"]


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ({"failure_type": "security_violation"}, "critical"), ({"failure_type": "missing_receipt"}, "warning"),
        ({"failure_type": "odd_noise"}, "info"), ({"failure_type": "odd_noise", "severity": "critical"}, "critical"),
    ],
)  # fmt: skip
def test_severity_follows_the_failure_type_unless_given(given: dict[str, str], severity: str, service: Service) -> None:
    assert service.post("/api/andon", sku_id="sku-s", **given).json()["severity"] == severity


def test_an_open_andon_may_be_resolved_at_once(service: Service) -> None:
    done = service.post(f"/api/andon/{service.cord(sku_id='sku-once')}/resolve", **RESOLUTION).json()
    assert (done["status"], done["acknowledged_at"]) == ("resolved", None)


def test_andons_are_listed_newest_first_filtered_and_paged(service: Service) -> None:
    made = [
        service.cord(sku_id="sku-list", failure_type=kind)
        for kind in ("test_failure", "odd_noise", "compilation_failure")
    ]
    service.post(f"/api/andon/{made[0]}/acknowledge")

    def found(**params: Any) -> list[str]:
        return [andon["id"] for andon in service.get("/api/andon", sku_id="sku-list", **params).json()["andons"]]

    assert found() == made[::-1]
    assert found(status="open") == [made[2], made[1]]
    assert found(status="acknowledged") == [made[0]]
    assert found(severity="critical") == [made[2]]
    first = service.get("/api/andon", sku_id="sku-list", limit=2).json()
    assert [andon["id"] for andon in first["andons"]] == [made[2], made[1]]
    assert found(limit=2, cursor=first["next_cursor"]) == [made[0]]


def test_an_unanswered_andon_escalates_once(launch: Any) -> None:
    service = launch(env={"TCPS_ACK_TIMEOUT": "1s"})
    andon = service.cord()
    deadline = time.monotonic() + 8
    while not service.get(f"/api/andon/{andon}").json()["escalated"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1.2)
    assert len(service.facts(kind="andon.escalated")) == 1


# --- kanban, facts, the rest -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 3, None])
def test_a_limit_is_set_and_shown(limit: int | None, service: Service) -> None:
    answer = service.ask("PUT", "/api/kanban/cost", json={"limit": limit})
    assert (answer.status_code, answer.json()) == (200, {"bucket": "cost", "limit": limit})
    shown = service.refresh()["kanban"]["cost"]
    assert shown["limit"] == limit
    assert (shown["available"] is None) == (limit is None)
    assert ("cost" in labelled(service.samples(), "tcps_kanban_wip_limit")) == (limit is not None)


def test_the_ledger_is_read_in_order_by_kind_and_from_a_seq(service: Service) -> None:
    order = service.create()
    service.act(order, "start")
    everything = service.facts()
    assert [fact["seq"] for fact in everything] == list(range(1, len(everything) + 1))
    assert everything[-2]["data"]["work_order_id"] == order
    assert [fact["kind"] for fact in everything[-2:]] == ["work_orders.created", "work_orders.started"]
    started = service.facts(kind="work_orders.started")
    assert started[-1] == everything[-1]
    assert {fact["kind"] for fact in started} == {"work_orders.started"}
    page = service.get("/api/facts", since=len(everything) - 2, limit=1).json()
    assert [fact["seq"] for fact in page["facts"]] == [page["next_since"]] == [len(everything) - 1]
    assert page["epoch"]


def test_import_of_a_table_over_rest_counts_what_it_took(service: Service) -> None:
    rows = b"id,created_at,completed_at,bucket\nI-1,1000,2000,cost\nI-2,nonsense,,cost\nI-1,1000,2000,cost\n"
    answer = service.ingest(rows).json()
    assert (answer["outcome"], answer["facts"], answer["duplicates"], answer["rejected_rows"]) == ("accepted", 1, 1, 1)
    assert (answer["rejected"][0]["line"], answer["rejected"][0]["field"]) == (3, "created_at")
    again = service.ingest(b"id,created_at,completed_at,bucket\nI-1,1000,2000,cost\n").json()
    assert (again["outcome"], again["facts"]) == ("duplicate", 0)


@pytest.mark.parametrize("ending", [b"\xff\xfe,1000\n", b'"never closed,1000\n'], ids=["no text", "a quote left open"])
def test_a_file_that_breaks_off_leaves_nothing_behind(ending: bytes, service: Service) -> None:
    before = len(service.facts())
    rows = b"".join(b"broken-%d,1000\n" % number for number in range(600))
    answer = service.ingest(b"id,created_at\n" + rows + ending)
    if answer.status_code == 200:  # what can be understood is taken in, and what can't is told
        assert (answer.json()["facts"], answer.json()["rejected_rows"]) == (600, 1)
    else:
        assert answer.status_code == 400
        assert len(service.facts()) == before


def test_health_tells_of_every_part(service: Service) -> None:
    health = service.get("/api/health").json()
    assert health.keys() >= {"status", "timestamp", "uptime_seconds", "metrics_count", "services", "sse_clients"}
    assert health["status"] == "ok"
    assert {part["status"] for part in health["services"].values()} == {"ok"}
    assert service.get("/api/health/live").status_code == 200


def test_the_report_comes_as_a_named_file(service: Service) -> None:
    answer = service.get("/api/export/json")
    day = time.strftime("%Y%m%d", time.gmtime())
    assert answer.headers["Content-Disposition"] == f'attachment; filename="tcps-report-{day}.json"'
    assert {"overview", "kanban", "andon", "flow", "timestamp"} <= answer.json().keys()


@pytest.mark.parametrize("path", ["/", "/dashboard", "/api/docs"])
def test_pages_are_html(path: str, service: Service) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "tcps-exporter" in answer.text


@pytest.mark.parametrize("path", ["/api/work-orders", "/api/facts", "/api/health", "/api/openapi.json", "/"])
def test_head_is_get_without_its_body(path: str, service: Service) -> None:
    answer = service.ask("HEAD", path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0
    assert service.get("/api/health/live").json() == {"status": "ok"}

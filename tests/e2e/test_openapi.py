"""The description of the API is valid, complete and true: each operation answers as it is described."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import requests

from exporter.web import create_app
from tests.e2e.process import Service
from tests.line import Line

PAGES = {"/", "/dashboard", "/api/docs", "/api/openapi.json"}
RESOLUTION = {"root_cause": "a", "fix_applied": "b", "prevention_added": "c", "resolver": "ana"}


class Example(NamedTuple):
    """How to ask for an operation so that it does what it is for: the names of its path, and its body."""

    path: str
    body: Any = None


class Described:
    """A service with something of everything in it, and its own description."""

    def __init__(self, service: Service):
        self.service = service
        self.document = service.get("/api/openapi.json").json()
        self.operations = {
            (method.upper(), path): operation
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    def fault(self, answer: requests.Response, method: str, path: str) -> str:
        """What of its status, type and body is not as described; empty if nothing."""
        told = f"{method} {path} {answer.status_code}"
        response = self.operations[method, path]["responses"].get(str(answer.status_code))
        if response is None:
            return f"{told}: the status is not described, {answer.text[:160]}"
        kind = answer.headers["Content-Type"].partition(";")[0]
        if kind not in response["content"]:
            return f"{told}: {kind} is not described"
        if kind == "application/json":
            schema = response["content"][kind]["schema"] | {"components": self.document["components"]}
            found = jsonschema.Draft202012Validator(schema).iter_errors(answer.json())
            return "; ".join(f"{told}: {error.json_path} {error.message[:160]}" for error in found)
        return ""

    def conforms(self, answer: requests.Response, method: str, path: str) -> None:
        assert self.fault(answer, method, path) == ""

    def example(self, method: str, path: str) -> Example:
        """With an order, an andon and whatever else it needs."""
        one = path.replace("{bucket}", "cost").replace("{key}", "all").replace("{form}", "json")
        if path.startswith("/api/andon/{id}"):
            andon = self.service.cord(sku_id="sku-example")
            return Example(one.replace("{id}", andon), RESOLUTION if "resolve" in path else {})
        if "{id}" in path:
            one = one.replace("{id}", self._order(path.rpartition("/")[2]))
        return Example(one, self._body(method, path))

    def _order(self, verb: str) -> str:
        order = self.service.create(sku_id="sku-order")
        for step in {"progress": ["start"], "complete": ["start"], "reopen": ["start", "complete"]}.get(verb, []):
            assert self.service.act(order, step).status_code == 200
        if verb == "dependencies":
            assert self.service.act(order, verb, depends_on=self._needed()).status_code == 200
        return order

    def _needed(self) -> str:
        return self.service.create(description="what others wait for", external_id=None)

    def _body(self, method: str, path: str) -> Any:
        bodies = {
            ("POST", "/api/work-orders"): {"description": "x", "labels": ["a"], "metadata": {"a": 1}},
            ("POST", "/api/work-orders/pull"): {},
            ("PATCH", "/api/work-orders/{id}"): {"priority": 7},
            ("POST", "/api/work-orders/{id}/progress"): {"stage": "testing"},
            ("POST", "/api/work-orders/{id}/cancel"): {"reason": "x"}, ("PUT", "/api/kanban/{bucket}"): {"limit": 4},
            ("POST", "/api/andon"): {"failure_type": "test_failure", "sku_id": "sku-body"},
            ("POST", "/api/ingest/csv"): b"id,created_at\nI-1,1000\n",
        }  # fmt: skip
        if path.endswith("/dependencies"):
            newest = self.service.get("/api/work-orders", limit=2).json()["work_orders"]
            waits = [one for one in newest if one["dependencies"]]
            return {"depends_on": waits[0]["dependencies"][0] if method == "DELETE" else self._needed()}
        return bodies.get((method, path), {} if "requestBody" in self.operations[method, path] else None)

    def ask(self, method: str, example: Example, **more: Any) -> requests.Response:
        if isinstance(example.body, bytes):
            return self.service.ask(method, example.path, data=example.body, **more)
        return self.service.ask(method, example.path, json=example.body, **more)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    buckets = {f"TCPS_BUCKETS__{name}__LIMIT": "none" for name in ("RELIABILITY", "SECURITY", "COST", "COMPLIANCE")}
    with Service(tmp_path_factory.mktemp("described"), env=buckets) as service:
        described = Described(service)
        service.ingest(b"id,created_at,started_at,completed_at\nI-0,1000,2000,3000\n")
        described.example("POST", "/api/work-orders/{id}/complete")
        service.cord()
        service.refresh()
        yield described


def test_it_is_a_valid_openapi_document(described: Described) -> None:
    import openapi_spec_validator

    assert described.document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(described.document)


def test_it_describes_every_route_and_no_other(described: Described, tmp_path: Path) -> None:
    line = Line(tmp_path)
    try:
        front = create_app(line.service)
        rules = [rule for rule in front._app.url_map.iter_rules() if rule.endpoint != "static"]
        routes = {(method, spelled(rule.rule)) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}
        routes |= {("GET", path) for path in front.table}
    finally:
        line.close()
    assert {(method, path) for method, path in routes if path not in PAGES} == set(described.operations)


def spelled(rule: str) -> str:
    return rule.replace("<", "{").replace(">", "}")


def test_every_operation_is_named_once_and_told_in_a_sentence(described: Described) -> None:
    operations = described.operations.values()
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert [one["operationId"] for one in operations if not one["summary"].endswith(".")] == []


def test_every_operation_answers_as_described(described: Described) -> None:
    faults = []
    for method, path in sorted(described.operations):
        described.example("POST", "/api/work-orders/{id}/start")  # something to pull
        answer = described.ask(method, described.example(method, path))
        faults.append(described.fault(answer, method, path))
        if answer.status_code not in (200, 201):
            faults.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
    assert "\n".join(filter(None, faults)) == ""


def test_what_it_refuses_is_described_too(described: Described) -> None:
    faults = set()
    for method, path in sorted(described.operations):
        example = described.example(method, path)
        nobody = Example(unknown(path), example.body)
        answers = [described.ask(method, example, params={"nothing": "1"}), described.ask(method, nobody)]
        if "requestBody" in described.operations[method, path] and not isinstance(example.body, bytes):
            answers.append(described.ask(method, Example(example.path, {**example.body, "nothing": 1})))
            for body, kind in ((b"{", "json"), (b"x", "xml"), (b'"' + b"x" * (1 << 20) + b'"', "json")):
                typed = {"Content-Type": f"application/{kind}"}
                answers.append(described.service.ask(method, example.path, data=body, headers=typed))
        faults |= {described.fault(answer, method, path) for answer in answers}
    assert "\n".join(sorted(faults - {""})) == ""


def unknown(path: str) -> str:
    for name, nobody in [("{id}", "WO-999999"), ("{bucket}", "nothing"), ("{key}", "nothing"), ("{form}", "nothing")]:
        path = path.replace(name, nobody)
    return path.replace("andon/WO-", "andon/AND-")


def test_refusals_by_state_are_described(described: Described) -> None:
    service = described.service
    order, andon = service.create(sku_id="sku-states"), service.cord(sku_id="sku-states")
    one = "/api/work-orders/{id}"
    for verb, status in [("complete", 409), ("reopen", 409), ("start", 423)]:
        answer = service.act(order, verb)
        assert answer.status_code == status
        described.conforms(answer, "POST", f"{one}/{verb}")
    for verb in ("acknowledge", "acknowledge", "resolve", "resolve", "acknowledge"):
        answer = service.post(f"/api/andon/{andon}/{verb}", **(RESOLUTION if verb == "resolve" else {}))
        described.conforms(answer, "POST", f"/api/andon/{{id}}/{verb}")
    cycle = service.act(order, "dependencies", depends_on=order)
    assert cycle.status_code == 409
    described.conforms(cycle, "POST", f"{one}/dependencies")


def test_lists_and_documents_hold_what_is_described_when_empty(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        empty = Described(service)
        for method, path in empty.operations:
            if method == "GET" and "{" not in path:
                empty.conforms(service.get(path), method, path)


def test_names_in_paths_and_keys_are_described(described: Described) -> None:
    for (method, path), operation in described.operations.items():
        parameters = operation["parameters"]
        in_path = {one["name"] for one in parameters if one["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}, (method, path)
        keyed = any(one["name"] == "Idempotency-Key" for one in parameters)
        assert keyed or method != "POST", (method, path)
        assert not keyed or "422" in operation["responses"], (method, path)

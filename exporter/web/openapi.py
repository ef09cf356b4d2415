"""The description of the API, made from the manifests: /api/openapi.json for machines, /api/docs to read."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from flask import Flask, Response, render_template

from exporter import __version__
from exporter.contract import Command, Document, Query, Struct
from exporter.service import Service
from exporter.web.api import Facts, FactsQuery, Nothing
from exporter.web.failures import json

REF = "#/components/schemas/{name}"
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


class Error(Struct):
    code: str
    message: str
    field: str | None
    details: dict[str, Any]


class ErrorDocument(Struct):
    error: Error


class Envelope(Struct):
    """Every metric document also says when it was collected, over which window, and whether it is stale."""

    timestamp: int
    age_seconds: int
    window_seconds: int | None
    stale: bool


class Operation(NamedTuple):
    """One route, before it is described. `body` None: it takes none; bytes: a file."""

    method: str
    path: str
    summary: str
    params: type[msgspec.Struct] = Nothing
    body: Any = None
    result: Any = None
    status: int = 200
    errors: tuple[tuple[int, str], ...] = ()
    keyed: bool = False
    document: Document | None = None


def register(app: Flask, service: Service) -> None:
    @app.get("/api/openapi.json")
    def description() -> Response:
        return json(describe(service))

    @app.get("/api/docs")
    def docs() -> str:
        return render_template("docs.html", operations=list(operations(service)), version=__version__)


def operations(service: Service) -> Iterator[Operation]:
    for command in service.registry.commands.values():
        if command.path:
            yield _of_command(command)
    for query in service.registry.queries.values():
        if query.path:
            yield Operation("GET", query.path, query.summary, query.params, result=query.result, errors=_errors(query))
    for door in service.registry.doors.values():
        errors = ((400, "malformed"), (413, "too_large"), (422, "invalid"), (503, "unavailable"))
        yield Operation(
            "POST",
            f"/api/ingest/{door.name}",
            door.summary,
            door.options,
            bytes,
            door.result,
            errors=errors,
            keyed=True,
        )
    wrong = (422, "invalid")
    for collector in service.registry:
        if collector.document:
            path = f"/api/metrics/{collector.name}"
            yield Operation(
                "GET", path, collector.summary, errors=(wrong, (503, "folding")), document=collector.document
            )
    yield from _of_host()


def describe(service: Service) -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    found = list(operations(service))
    kinds = [kind for one in found for kind in (one.params, one.body, one.result) if kind not in (None, bytes, str)]
    documents = [one.document.shape for one in found if one.document]
    kinds += [*documents, ErrorDocument, Envelope]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    known = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in found:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tcps-exporter", "version": __version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": service.settings["public_url"] or "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


def _of_command(command: Command) -> Operation:
    errors = [(400, "malformed"), (413, "too_large"), (415, "unsupported_media_type"), (422, "invalid")]
    return Operation(
        command.method, command.path or "", command.summary, body=command.body, result=command.result,
        status=command.status, errors=(*errors, *command.errors, (503, "unavailable")), keyed=True,
    )  # fmt: skip


def _errors(query: Query) -> tuple[tuple[int, str], ...]:
    return ((422, "invalid"), *query.errors, (503, "unavailable"))


def _of_host() -> Iterator[Operation]:
    gone, wrong, folding = (404, "not_found"), (422, "invalid"), (503, "folding")
    anything = dict[str, Any]
    yield Operation("GET", "/metrics", "The Prometheus text, format 0.0.4.", result=str, errors=(folding,))
    yield Operation("GET", "/api/metrics/all", "All of one snapshot.", result=anything, errors=(wrong, folding))
    refused = ((400, "malformed"), (413, "too_large"), (415, "unsupported_media_type"), wrong, folding)
    refresh = Operation("POST", "/api/metrics/refresh", "Takes a snapshot now.", body=Nothing, result=anything)
    yield refresh._replace(errors=refused, keyed=True)
    yield Operation("GET", "/api/facts", "The ledger, in order.", FactsQuery, result=Facts, errors=(wrong,))
    yield Operation("GET", "/api/export/{form}", "The report.", result=anything, errors=(gone, wrong, folding))
    yield Operation("GET", "/api/health", "Whether the service works.", result=anything)
    yield Operation("GET", "/api/health/live", "Whether the process answers.", result=anything)
    yield Operation("GET", "/api/cache", "Statistics of the ready documents.", result=anything, errors=(wrong,))
    yield Operation("DELETE", "/api/cache", "Drops all rendered documents.", result=anything, errors=(wrong,))
    yield Operation("DELETE", "/api/cache/{key}", "Drops one.", result=anything, errors=(gone, wrong))


def _operation(one: Operation, known: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    names = [part[1:-1] for part in one.path.split("/") if part.startswith("{")]
    described: dict[str, Any] = {
        "operationId": f"{one.method.lower()}{one.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": one.summary,
        "parameters": [*map(_in_path, names), *_in_query(one, names, components)],
        "responses": _responses(one, known, components),
    }
    if one.keyed:
        key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}, "required": False}
        described["parameters"].append(key)
    if one.body is bytes:
        described["requestBody"] = {"required": True, "content": BINARY}
    elif one.body is not None:
        schema = _without(components[one.body.__name__], names)
        required = bool(schema.get("required"))
        described["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return described


def _responses(one: Operation, known: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    if one.document:
        schema = _enveloped(known[id(one.document.shape)], components)
    else:
        schema = known.get(id(one.result), {"type": "object"})
    media = "text/plain" if one.result is str else "application/json"
    content = {media: {"schema": {"type": "string"} if one.result is str else schema}}
    responses: dict[str, Any] = {str(one.status): {"description": one.summary, "content": content}}
    problem = {"application/json": {"schema": known[id(ErrorDocument)]}}
    for status, code in one.errors:
        response = responses.setdefault(str(status), {"description": code, "content": problem})
        if code not in response["description"].split(", "):
            response["description"] += f", {code}"
    return responses


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(one: Operation, names: list[str], components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = components.get(one.params.__name__, {})
    for name, each in schema.get("properties", {}).items():
        if name not in names:
            yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": each}


def _without(schema: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The body without what the path already says."""
    kept = {name: each for name, each in schema["properties"].items() if name not in names}
    required = [name for name in schema.get("required", ()) if name not in names]
    rest = {key: value for key, value in schema.items() if key not in ("properties", "required", "title")}
    return rest | {"properties": kept} | ({"required": required} if required else {})


def _enveloped(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    envelope = components[Envelope.__name__]
    return schema | {
        "properties": envelope["properties"] | schema.get("properties", {}),
        "required": [*envelope["required"], *schema.get("required", ())],
    }

"""REST from the manifests: a route for each command, query and door, and those of the host itself."""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Any, get_args, get_origin

import msgspec
from flask import Flask, Response, request
from msgspec import Meta

from exporter import clock
from exporter.contract import Command, Door, Query, Struct
from exporter.errors import Invalid, NotFound, TooLarge, UnsupportedMedia
from exporter.ledger import AFTER, AFTER_OF_KIND
from exporter.parsing import convert, json_object
from exporter.service import Service
from exporter.web.access import admit
from exporter.web.failures import json
from exporter.web.front import Front

KEY = "Idempotency-Key"
PIECE = 65_536


class FactsQuery(Struct):
    """`since`: the seq after which to begin."""

    since: Annotated[int, Meta(ge=0, le=1 << 62)] = 0
    kind: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class FactShown(Struct):
    seq: int
    kind: str
    occurred_at: int
    recorded_at: int
    by: str
    data: msgspec.Raw


class Facts(Struct):
    """The ledger in order. Ask again with since = next_since for what comes after."""

    epoch: str
    facts: list[FactShown]
    next_since: int


def register(app: Flask, service: Service) -> None:
    for command in service.registry.commands.values():
        if command.path:
            _route(app, command.path, command.method, _command(service, command))
    for query in service.registry.queries.values():
        if query.path:
            _route(app, query.path, "GET", _query(service, query))
    for door in service.registry.doors.values():
        _route(app, f"/api/ingest/{door.name}", "POST", _door(service, door))
    _route(app, "/api/facts", "GET", lambda: _facts(service))
    _route(app, "/api/metrics/refresh", "POST", lambda: _refresh(service))
    _route(app, "/api/export/{form}", "GET", lambda form: _export(service, form))


def register_cache(app: Flask, front: Front) -> None:
    """/api/cache is the front's table, so its routes come once the front is built."""

    def statistics() -> Response:
        _nothing()
        return json(front.statistics())

    def forget(key: str | None = None) -> Response:
        _nothing()
        return json({"deleted": front.forget(key)})

    _route(app, "/api/cache", "GET", statistics)
    _route(app, "/api/cache", "DELETE", forget)
    _route(app, "/api/cache/{key}", "DELETE", forget)


def _route(app: Flask, path: str, method: str, answer: Callable[..., Response]) -> None:
    rule = path.replace("{", "<").replace("}", ">")
    app.add_url_rule(rule, f"{method} {path}", answer, methods=[method])


def _command(service: Service, command: Command) -> Callable[..., Response]:
    def answer(**names: str) -> Response:
        by = _nothing()
        body = _body()
        for name in names:
            if name in body:
                convert({name: ""}, Nothing)
        done = service.commands.answer(command.name, body | names, by, _key())
        response = Response(done.body, done.status, mimetype="application/json")
        if done.location:
            response.headers["Location"] = done.location
        return response

    return answer


class Nothing(Struct):
    """Has no fields: whatever is given is refused by its name."""


def _query(service: Service, query: Query) -> Callable[..., Response]:
    def answer(**names: str) -> Response:
        admit(request.environ)
        params = convert(_arguments(query.params) | names, query.params, text=True)
        with service.read() as rows:
            return json(query.run(service.look(rows), params))

    return answer


def _door(service: Service, door: Door) -> Callable[..., Response]:
    def answer() -> Response:
        by = admit(request.environ)
        request.max_content_length = service.settings["max_ingest"]
        options = convert(_arguments(door.options), door.options, text=True)
        key = _key()
        with ExitStack() as stack:
            file: Any = request.stream
            digest = ""
            if key:  # the same key with another file is another request
                file = stack.enter_context(tempfile.TemporaryFile())
                digest = _copy(request.stream, file)

            def take() -> bytes:
                return msgspec.json.encode(door.run(service, file, options, by))

            body = service.commands.answer_once(f"POST {request.full_path} {digest}", take, by, key)
        return Response(body, mimetype="application/json")

    return answer


def _copy(source: Any, file: Any) -> str:
    """Keeps the body in a file; its digest."""
    digest = hashlib.sha256()
    while piece := source.read(PIECE):
        digest.update(piece)
        file.write(piece)
    file.seek(0)
    return digest.hexdigest()


def _key() -> str | None:
    """The request's Idempotency-Key. Raises: Invalid for an empty one."""
    key = request.headers.get(KEY)
    if key is not None and not key.strip():
        raise Invalid(f"{KEY}: expected a key, got an empty one", field=KEY)
    return key


def _nothing() -> str:
    """Who asks. Raises: Invalid for any parameter in the query string."""
    convert(request.args, Nothing)
    return admit(request.environ)


def _facts(service: Service) -> Response:
    admit(request.environ)
    params = convert(_arguments(FactsQuery), FactsQuery, text=True)
    if params.kind is not None and params.kind not in service.registry.facts:
        known = ", ".join(service.registry.facts)
        raise Invalid(f"kind: expected one of {known}, got {params.kind!r}", field="kind")
    with service.read() as rows:
        if params.kind is None:
            found = rows.all(AFTER, after=params.since, size=params.limit)
        else:
            found = rows.all(AFTER_OF_KIND, after=params.since, size=params.limit, kind=params.kind)
    facts = [
        FactShown(seq=r.seq, kind=r.kind, occurred_at=r.occurred_at, recorded_at=r.recorded_at, by=r.by,
                  data=msgspec.Raw(r.data.encode()))
        for r in found
    ]  # fmt: skip
    return json(Facts(epoch=service.ledger.epoch, facts=facts, next_since=facts[-1].seq if facts else params.since))


def _refresh(service: Service) -> Response:
    by = _nothing()
    convert(_body(), Nothing)
    service.require_ready()

    def take() -> bytes:
        return service.snapshots.collect().all_at(service.now())

    body = service.commands.answer_once("POST /api/metrics/refresh", take, by, _key())
    return Response(body, mimetype="application/json")


def _export(service: Service, form: str) -> Response:
    _nothing()
    service.require_ready()
    if form != "json":
        raise NotFound(f"there is no export as {form!r}; there is json", field="format")
    day = clock.iso(service.now())[:10].replace("-", "")
    response = Response(service.snapshots.current.all_at(service.now()), mimetype="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="tcps-report-{day}.json"'
    return response


def _body() -> dict[str, Any]:
    raw = request.get_data(cache=False)
    if request.content_length is None and request.environ["wsgi.input"].read(1):  # chunked, and longer than was read
        raise TooLarge(f"the body is longer than the {request.max_content_length} bytes allowed here")
    if raw and request.mimetype != "application/json":
        raise UnsupportedMedia(f"expected a body of application/json, got {request.mimetype or 'no Content-Type'}")
    return json_object(raw)


def _arguments(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The query string as text; what may come again (a list) as a list."""
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: values if _is_list(hints.get(name)) else values[-1] for name, values in request.args.lists()}


def _is_list(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_origin(hint) is list

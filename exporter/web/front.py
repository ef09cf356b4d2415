"""The layer before Flask: ready documents and /metrics, answered from a table of path to bytes.

Each body is rendered at most once a second and once a snapshot, its gzipped twin when somebody first asks for it.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from exporter.errors import Invalid, NotAllowed, NotFound, Refusal, Unavailable
from exporter.service import Service
from exporter.telemetry import CONTENT_TYPE
from exporter.web.access import admit

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
JSON = "application/json"


class Body(NamedTuple):
    snapshot: object
    second: int
    raw: bytes
    gzipped: bytes | None
    headers: list[tuple[str, str]]


class Ready:
    """One path that can be answered without asking anybody."""

    __slots__ = ("_service", "body", "content_type", "hits", "key", "misses", "render")

    def __init__(self, key: str, content_type: str, render: Callable[[int], bytes], service: Service):
        self.key, self.content_type, self.render = key, content_type, render
        self.body: Body | None = None
        self.hits = self.misses = 0
        self._service = service

    def get(self) -> Body:
        """Raises: Refusal where there is nothing to show."""
        now = self._service.now()
        snapshot, second = self._service.snapshots.current, now // 1000
        body = self.body
        if body is not None and body.snapshot is snapshot and body.second == second:
            self.hits += 1
            return body
        self.misses += 1
        raw = self.render(now)
        tag = ("ETag", f'W/"{snapshot.at:x}-{second:x}"')
        headers = [("Content-Type", self.content_type), tag, ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
        body = self.body = Body(snapshot, second, raw, None, headers)
        return body

    def zipped(self, body: Body) -> bytes:
        if body.gzipped is None:
            body = self.body = body._replace(gzipped=gzip.compress(body.raw, 1, mtime=0))
        return body.gzipped or b""


class Front:
    """A WSGI application: what is in its table, and all else from `app`."""

    def __init__(self, app: Any, service: Service):
        self._app, self._service = app, service
        self.table: dict[str, Ready] = {path: Ready(*each, service) for path, each in _ready(service)}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        ready = self.table.get(environ["PATH_INFO"])
        if ready is None:
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        try:
            admit(environ)
            self._service.require_ready()
            _check(environ, ready)
            body = ready.get()
        except Refusal as refusal:
            return _refuse(refusal, start_response)
        return _send(ready, body, environ, start_response)

    def statistics(self) -> dict[str, Any]:
        """/api/cache: the rendered documents; valid are those of the newest snapshot."""
        bodies = [ready.body for ready in self.table.values() if ready.body]
        valid = sum(body.snapshot is self._service.snapshots.current for body in bodies)
        hits, misses = (sum(getattr(r, name) for r in self.table.values()) for name in ("hits", "misses"))
        return {
            "total_entries": len(bodies),
            "valid_entries": valid,
            "expired_entries": len(bodies) - valid,
            "memory_bytes": sum(len(body.raw) + len(body.gzipped or b"") for body in bodies),
            "ttl_seconds": self._service.settings["refresh_interval"] / 1000,
            "hits": hits,
            "misses": misses,
            "hit_rate": hits / (hits + misses) if hits + misses else None,
        }

    def forget(self, key: str | None) -> int:
        """Drops rendered bodies, one or all; how many. Raises: NotFound for a key that is none."""
        found = [ready for ready in self.table.values() if key in (None, ready.key)]
        if not found:
            known = ", ".join(ready.key for ready in self.table.values())
            raise NotFound(f"there is no cache entry {key!r}; there are {known}", field="key")
        dropped = sum(ready.body is not None for ready in found)
        for ready in found:
            ready.body = None
        return dropped


def _ready(service: Service) -> Iterator[tuple[str, tuple[str, str, Callable[[int], bytes]]]]:
    def document(name: str) -> Callable[[int], bytes]:
        def render(now: int) -> bytes:
            rendered = service.snapshots.current.documents.get(name)
            if rendered is None:
                raise NotFound(f"the collector {name} has nothing to show", code="collector_failed")
            return rendered.at(now)

        return render

    for collector in service.registry:
        if collector.document:
            yield f"/api/metrics/{collector.name}", (collector.name, JSON, document(collector.name))
    yield "/api/metrics/all", ("all", JSON, lambda now: service.snapshots.current.all_at(now))
    yield "/metrics", ("exposition", CONTENT_TYPE, lambda now: service.telemetry.render())


def _check(environ: Environ, ready: Ready) -> None:
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING")
    if method not in ("GET", "HEAD"):
        raise NotAllowed(f"{method} is not allowed at {environ['PATH_INFO']}; GET and HEAD are")
    if query and ready.content_type is JSON:
        name = query.partition("=")[0]
        raise Invalid(f"{name}: there is no such parameter here", field=name)


def _send(ready: Ready, body: Body, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    headers = body.headers
    if "HTTP_IF_NONE_MATCH" in environ and _known(environ["HTTP_IF_NONE_MATCH"], headers[1][1]):
        start_response("304 Not Modified", headers[1:])
        return ()
    raw = body.raw
    if accepts_gzip(environ):
        raw = ready.zipped(body)
        headers = [*headers, ("Content-Encoding", "gzip")]
    start_response("200 OK", [*headers, ("Content-Length", str(len(raw)))])
    return () if environ["REQUEST_METHOD"] == "HEAD" else (raw,)


def _known(given: str, tag: str) -> bool:
    """Whether If-None-Match names our tag; compared weakly, as RFC 9110 wants it."""
    tags = [one.strip().removeprefix("W/") for one in given.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags


def accepts_gzip(environ: Mapping[str, Any]) -> bool:
    """Whether gzip is among Accept-Encoding, and not with a weight of 0."""
    accepted = environ.get("HTTP_ACCEPT_ENCODING", "").lower()
    if "gzip" not in accepted:
        return False
    for offer in accepted.split(","):
        name, _, weight = offer.strip().partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "").removeprefix("q=").rstrip("0.") != "" if weight else True
    return False


def _refuse(refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
    body = msgspec.json.encode(refusal.document())
    headers = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
    if isinstance(refusal, NotAllowed):
        headers.append(("Allow", "GET, HEAD"))
    if isinstance(refusal, Unavailable):
        headers.append(("Retry-After", str(refusal.retry_after)))
    start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", headers)
    return (body,)

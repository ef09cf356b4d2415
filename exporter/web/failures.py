"""Errors on their way out: whatever fails, under /api it has the one shape."""

from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from exporter.errors import Refusal, Unavailable
from exporter.service import Service

CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def register(app: Flask, service: Service) -> None:
    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        response = json(refusal.document(), refusal.status)
        if isinstance(refusal, Unavailable):
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        status = error.code or 500
        message = _message(error)
        if not request.path.startswith("/api"):
            return Response(f"{status} {message}\n", status, mimetype="text/plain")
        response = json(Refusal(message, code=CODES.get(status, "error")).document(), status)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        service.event("error", "request", f"{request.method} {request.path}: {error!r}")
        message = "the service failed to answer; its log says why"
        return json(Refusal(message, code="internal").document(), 500)


def json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


def _message(error: HTTPException) -> str:
    if error.code == 404:
        return f"there is nothing at {request.path}"
    if error.code == 405:
        return f"{request.method} is not allowed at {request.path}"
    if isinstance(error, RequestEntityTooLarge):
        return f"the body is longer than the {request.max_content_length} bytes allowed here"
    return str(error.description)

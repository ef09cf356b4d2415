"""Pages for people: the overview of the line, until a wallboard takes its place."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Flask, Response, render_template

from exporter import __version__
from exporter.service import Service

POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def register(app: Flask, service: Service) -> None:
    @app.get("/")
    @app.get("/dashboard")
    def overview() -> Response:
        snapshot = service.snapshots.current
        documents = {n: msgspec.to_builtins(d.value) for n, d in snapshot.documents.items() if d}
        at = datetime.fromtimestamp(snapshot.at / 1000, UTC)
        refresh = max(1, service.settings["refresh_interval"] // 1000)
        page = render_template(
            "overview.html", documents=documents, at=at, version=__version__, refresh=refresh, progress=service.progress
        )
        return Response(page, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})

    @app.template_filter("figure")
    def figure(value: Any) -> str:
        """A number for reading: null is "no data", never a number that was not measured."""
        if value is None:
            return "no data"
        return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"

    @app.template_filter("percent")
    def percent(value: Any) -> str:
        return "no data" if value is None else f"{value:.0%}"

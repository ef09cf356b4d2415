"""Whether the service works, in its parts. 503 only when one is down without which nothing is true."""

from typing import Any

from flask import Flask, Response

from exporter.service import Service
from exporter.web.failures import json


def register(app: Flask, service: Service) -> None:
    @app.get("/api/health")
    def health() -> Response:
        document = assess(service)
        return json(document, 503 if document["status"] == "down" else 200)

    @app.get("/api/health/live")
    def live() -> Response:
        return json({"status": "ok"})


def assess(service: Service) -> dict[str, Any]:
    """Down: store or aggregator fail. Degraded: a collector does."""
    aggregator = service.fault or (None if service.state == "ready" else f"{service.state}, {service.progress:.0%}")
    services = {"store": _part(service.store.fault), "aggregator": _part(aggregator)}
    collectors = {name: _part(health.error) for name, health in service.snapshots.current.collectors.items()}
    down = any(part["status"] != "ok" for part in services.values())
    degraded = any(part["status"] != "ok" for part in collectors.values())
    now = service.now()
    return {
        "status": "down" if down else "degraded" if degraded else "ok",
        "timestamp": now,
        "uptime_seconds": (now - service.started_at) / 1000,
        "metrics_count": len(service.registry.metrics),
        "services": services | collectors,
        "sse_clients": 0,
    }


def _part(fault: str | None) -> dict[str, Any]:
    return {"status": "ok"} if fault is None else {"status": "failing", "reason": fault}

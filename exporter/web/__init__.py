"""The web: the front of ready documents, and Flask for all else."""

from flask import Flask

from exporter.service import Service
from exporter.web import api, failures, health, openapi, pages
from exporter.web.front import Front


def create_app(service: Service) -> Front:
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = service.settings["max_body"]
    app.url_map.strict_slashes = False
    failures.register(app, service)
    api.register(app, service)
    health.register(app, service)
    openapi.register(app, service)
    pages.register(app, service)
    front = Front(app, service)
    api.register_cache(app, front)
    return front

"""The running server: socket, signals, and the order of start and stop."""

import errno
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer

from exporter.errors import StartupError
from exporter.fold import LedgerGap
from exporter.registry import Registry
from exporter.service import Service
from exporter.settings import Settings
from exporter.web import create_app

BACKLOG = 4096  # gevent's 256 drops connections when thousands come at once
DRAIN_SECONDS = 5


def serve(settings: Settings, registry: Registry, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; `announce` hears the address once it answers. Raises: StartupError."""
    listener = _listen(settings["host"], settings["port"])
    service = Service(settings, registry, sys.stdout)
    try:
        service.open()
        server = _serving(listener, service)
        server.start()
        announce(_address(settings, listener))
        _run(service, server)
    finally:
        service.stop()


def _serving(listener: socket.socket, service: Service) -> "_Server":
    log: Any = _Errors(service)
    server = _Server(listener, create_app(service), log=None, error_log=log, handler_class=_Handler)
    return server


def _run(service: Service, server: "_Server") -> None:
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, ended.set)
    starting = gevent.spawn(_begin, service, ended)
    ended.wait()
    server.drain()
    failure = starting.value if starting.ready() else None
    starting.kill()
    if failure:
        raise failure


def _begin(service: Service, ended: Event) -> StartupError | None:
    """Folds, then lets the service work by itself. What it can't fold ends the process."""
    try:
        service.catch_up()
    except LedgerGap as error:
        ended.set()
        return StartupError(f"{service.store.path} is damaged: {error}; restore a backup")
    service.start()
    return None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # accepted sockets inherit it; without it an answer over keep-alive takes 44 ms
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        advice = "name another with --port" if error.errno == errno.EADDRINUSE else "check --host and --port"
        raise StartupError(f"can't listen on {host} port {port}: {error.strerror}; {advice}") from error
    return listener


def _address(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return str(settings["public_url"] or f"http://{shown}:{port}")


class _Server(WSGIServer):
    """Knows how many requests are being answered, so that it can end with the last of them."""

    busy = 0

    def drain(self) -> None:
        """Takes no more connections, and waits for requests that have begun; idle connections hold up nothing."""
        self.stop_accepting()
        with gevent.Timeout(DRAIN_SECONDS, False):  # type: ignore[arg-type]
            while self.busy:
                gevent.sleep(0.01)
        self.stop(timeout=0)


class _Handler(WSGIHandler):
    def log_request(self) -> None:
        """Requests are not logged, so their lines are not made either."""

    def handle_one_response(self) -> None:
        server: Any = self.server
        server.busy += 1
        try:
            super().handle_one_response()
        finally:
            server.busy -= 1


class _Errors:
    """pywsgi's error log, as lines of ours."""

    def __init__(self, service: Service):
        self._service = service

    def write(self, text: str) -> None:
        if text.strip():
            self._service.event("error", "http", text.strip())

    def flush(self) -> None:
        """Each line is on its way already."""

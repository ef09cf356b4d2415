"""A load client of raw keep-alive sockets in a process of its own: the same for the product and its baselines.

Each connection sends the next request as soon as it has the last answer. `busy` says how much of the wall time the
client itself used a core: well below 1, so what is measured is the server.
"""

import json
import re
import select
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.benchmarks.figures import percentile
from tests.benchmarks.processes import run

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TAG = re.compile(rb"\r\netag: *(\S+)", re.IGNORECASE)
LAST_TAG = "@TAG@"
"""In a request it stands for the ETag of the connection's last answer, as a browser would send it."""
BODILESS = (204, 304)
PIECE = 262_144
WARM_SECONDS = 0.3


class Load(NamedTuple):
    rate: float
    p50: float
    p95: float
    p99: float
    busy: float
    length: int
    statuses: dict[str, int]

    def require(self, status: int) -> "Load":
        """Raises: RuntimeError where anything else was answered."""
        if set(self.statuses) != {str(status)}:
            raise RuntimeError(f"expected {status} only, got {self.statuses}")
        return self


def request(method: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{n}: {v}" for n, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def load(port: int, sent: bytes, connections: int, seconds: float) -> Load:
    """What that many connections get in that time, after a short warming up. Times in milliseconds."""
    told = run("tests.benchmarks.load", str(port), str(connections), str(seconds), sent.decode())
    return Load(**json.loads(told))


class _Connection:
    def __init__(self, port: int, sent: bytes):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent, self._got, self._bodiless = sent, b"", sent.startswith(b"HEAD ")
        self._tagged = LAST_TAG.encode() in sent
        self.began = 0.0

    def ask(self) -> None:
        sent = self._sent
        if self._tagged:
            tag = TAG.search(self._got)
            sent = sent.replace(LAST_TAG.encode(), tag[1] if tag else b'"none"')
        self._got, self.began = b"", time.perf_counter()
        self.socket.sendall(sent)

    def hear(self) -> int | None:
        """The status once the answer is whole. None: more is to come."""
        self._got += self.socket.recv(PIECE)
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        status = int(self._got[9:12])
        if not self._bodiless and status not in BODILESS:
            length = LENGTH.search(self._got, 0, end)
            assert length, "each answer tells its length"
            if len(self._got) < end + 4 + int(length[1]):
                return None
        return status

    @property
    def length(self) -> int:
        return len(self._got)


def _drive(port: int, sent: bytes, count: int, seconds: float) -> dict[str, Any]:
    poll, connections = select.epoll(), dict[int, _Connection]()
    times, statuses = list[float](), dict[str, int]()
    for _ in range(count):
        one = _Connection(port, sent)
        connections[one.socket.fileno()] = one
        poll.register(one.socket, select.EPOLLIN)
        one.ask()
    warm = time.perf_counter() + WARM_SECONDS
    end, busy, length = warm + seconds, 0.0, 0
    while (now := time.perf_counter()) < end:
        if not busy and now >= warm:
            busy, begun = time.process_time(), now
            times.clear()
            statuses.clear()
        for descriptor, _ in poll.poll(1):
            one = connections[descriptor]
            status = one.hear()
            if status is not None:
                times.append((time.perf_counter() - one.began) * 1000)
                statuses[str(status)] = statuses.get(str(status), 0) + 1
                length = one.length
                one.ask()
    wall = now - begun
    shares = {f"p{round(100 * share)}": percentile(times, share) for share in (0.5, 0.95, 0.99)}
    busy = (time.process_time() - busy) / wall
    return {"rate": len(times) / wall, "busy": busy, "length": length, "statuses": statuses} | shares


if __name__ == "__main__":
    port, connections, seconds, sent = sys.argv[1:]
    print(json.dumps(_drive(int(port), sent.encode(), int(connections), float(seconds))))

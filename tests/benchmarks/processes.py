"""The service and its baselines as processes of their own, and what the kernel says of them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.figures import CACHE, ROOT, TICKS

UNLIMITED = {f"TCPS_BUCKETS__{name}__LIMIT": "none" for name in ("RELIABILITY", "SECURITY", "COST", "COMPLIANCE")}
"""The databases hold more work in progress than the default limits let anybody start."""


def environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TCPS_")}
    return mine | UNLIMITED | {"PYTHONPATH": str(ROOT)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def held(pid: int, field: str = "VmRSS") -> float:
    """MB of memory that a process holds; the most it has held: VmHWM. 0: it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0) * 1024 / 1e6


class Process:
    """A Python module that runs until the `with` ends, its output in a file."""

    def __init__(self, *arguments: str, name: str = "process"):
        self.output = CACHE / f"{name}.log"
        self.started = time.perf_counter()
        with self.output.open("wb") as output:
            command = [sys.executable, "-m", *arguments]
            self._popen = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output, stderr=output)
        self.pid = self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """By SIGTERM, as a service manager does it."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            self._popen.wait(60)
        self.output.unlink(missing_ok=True)

    def require_alive(self) -> None:
        if self._popen.poll() is not None:
            tail = self.output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.output.stem} ended with {self._popen.returncode}: {tail}")

    def memory(self, field: str = "VmRSS") -> float:
        return held(self.pid, field)

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Web(Process):
    """A process that answers HTTP on a port of its own."""

    def __init__(self, *arguments: str, name: str):
        self.port = free_port()
        super().__init__(*arguments, str(self.port), name=name)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON at the path. Raises: RuntimeError where the answer is not 200."""
        status, _, body = self.ask("GET", path)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}: {body[:300]!r}")
        return json.loads(body)

    def until(self, path: str, every: float = 0.01, within: float = 120) -> tuple[float, list[Any]]:
        """Seconds from the process's start until the path answers 200, and the refusals before that."""
        refusals: list[Any] = []
        while time.perf_counter() - self.started < within:
            try:
                status, _, body = self.ask("GET", path)
            except OSError:
                status, body = 0, b""
            if status == 200:
                return time.perf_counter() - self.started, refusals
            if status:
                refusals.append(json.loads(body))
            self.require_alive()
            time.sleep(every)
        raise RuntimeError(f"{path} did not answer within {within} s")


class Service(Web):
    """tcps-exporter serve on a database. Its log, a line a fact, goes to a file as under a service manager."""

    def __init__(self, database: Path | None, *flags: str):
        named = ("--database", f"sqlite:///{database}") if database else ()
        super().__init__("exporter", "serve", *named, *flags, "--port", name="service")

    def refreshed(self) -> Any:
        """All documents as of now; those of /api/metrics are up to refresh_interval old."""
        return json.loads(self.ask("POST", "/api/metrics/refresh")[2])


def run(*arguments: str) -> str:
    """The output of a Python module that is run to its end. Raises: CalledProcessError."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True, text=True).stdout


def show(*arguments: str) -> None:
    """The same, its output shown as it comes."""
    subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, env=environment(), check=True)

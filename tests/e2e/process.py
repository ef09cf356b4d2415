"""The service as a process of its own, started as a user starts it, and the command beside it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("tcps-exporter")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def now() -> int:
    return time.time_ns() // 1_000_000


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the service, and what the test gives."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TCPS_")}
    return kept | dict(given or {})


def command(
    *arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None, limit: float = 60,
    wrapper: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """tcps-exporter with these arguments, run to its end in `folder`; limit in seconds."""
    line = [*wrapper, str(COMMAND), *map(str, arguments)]
    try:
        return subprocess.run(
            line, cwd=folder, env=environment(env), capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"still running after {limit} s: {arguments}, {error.stderr!r}") from None


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first truthy value of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {seconds} s: {what}")


def at_once(works: Iterable[Callable[[], Any]]) -> list[Any]:
    """What each gives, or the exception it raises; all of them in threads that begin together."""
    calls = list(works)
    results: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(index: int, work: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[index] = work()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Service:
    """`tcps-exporter serve --port 0` in a folder of its own, where its default database ./tcps.db lies too.

    `wrapper` is what the command line begins with, for a process in other surroundings.
    """

    def __init__(
        self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None, wrapper: Sequence[str] = (),
        program: Path = COMMAND, stdout: int | None = None,
    ):  # fmt: skip
        self.folder, self.database = folder, folder / "tcps.db"
        self.errors = folder / "stderr.txt"
        self.url = ""
        self._http = requests.Session()
        self._http.trust_env = False
        line = [*wrapper, str(program), "serve", "--port", "0", *arguments]
        with (folder / "stdout.txt").open("ab") as out, self.errors.open("wb") as err:
            into = out if stdout is None else stdout
            self.process = subprocess.Popen(line, cwd=folder, env=environment(env), stdout=into, stderr=err)

    def __enter__(self) -> Self:
        """Itself, once it is ready; leaving the block ends it cleanly, unless it was ended inside."""
        try:
            return self.ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.running():
                self.stop()
        finally:
            self.kill()

    def ready(self, seconds: float = 20) -> Self:
        """Itself, once its views hold the whole ledger."""
        self.answering(seconds)
        wait_until(lambda: self.get("/metrics").status_code == 200, "ready", seconds)
        return self

    def answering(self, seconds: float = 20) -> Self:
        """Itself, once it has told its address."""

        def told() -> str | None:
            assert self.process.poll() is None, f"exit {self.process.poll()}: {self.stderr()}"
            found = re.search(r"http://[^\s/]+(?=/\n)", self.stderr())
            return found and found[0]

        self.url = wait_until(told, "an address on stderr", seconds)
        return self

    def stderr(self) -> str:
        return self.errors.read_text(encoding="utf-8")

    def log(self) -> str:
        return (self.folder / "stdout.txt").read_text(encoding="utf-8")

    def running(self) -> bool:
        return self.process.poll() is None

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._http.request(method, f"{self.url}{path}", timeout=30, **more)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.ask("GET", path, params=params)

    def post(self, path: str, **body: Any) -> requests.Response:
        return self.ask("POST", path, json=body)

    def ingest(self, data: bytes | Iterator[bytes], **options: Any) -> requests.Response:
        return self.ask("POST", "/api/ingest/csv", data=data, params=options)

    def create(self, **body: Any) -> str:
        """The id of a new work order."""
        answer = self.post("/api/work-orders", **{"description": "a work order", **body})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def act(self, order: str, verb: str, **body: Any) -> requests.Response:
        return self.post(f"/api/work-orders/{order}/{verb}", **body)

    def cord(self, **body: Any) -> str:
        """The id of a new andon."""
        answer = self.post("/api/andon", **{"failure_type": "test_failure", "sku_id": "sku-1", **body})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def refresh(self) -> Any:
        """All documents, collected now."""
        answer = self.post("/api/metrics/refresh")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def samples(self) -> dict[str, float]:
        """What /metrics shows of a new snapshot, by sample line such as tcps_kanban_wip{bucket="cost"}."""
        self.refresh()
        return parsed(self.get("/metrics").text)

    def facts(self, **params: Any) -> list[dict[str, Any]]:
        """The whole ledger in order, or what of it `params` choose."""
        found: list[dict[str, Any]] = []
        since = params.pop("since", 0)
        while True:
            answer = self.get("/api/facts", since=since, limit=500, **params)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["facts"]
            if page["next_since"] == since:
                return found
            since = page["next_since"]

    def listed(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """All of a list, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=500, **params).json()
            found += next(value for value in page.values() if isinstance(value, list))
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]

    def has_told_its_history(self) -> bool:
        """Whether a demo line has come to this very day."""
        newest = self.get("/api/work-orders", limit=1).json()["work_orders"]
        return bool(newest) and newest[0]["created_at"] > now() - 2 * HOUR

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait()
        self._http.close()

    def stop(self, seconds: float = 10) -> None:
        """SIGTERM, which must end it well within the time."""
        self._http.close()
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {seconds} s after SIGTERM") from None
        assert code == 0, f"exit {code}: {self.stderr()}"


def parsed(text: str) -> dict[str, float]:
    """Samples of the Prometheus text by name and labels."""
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def labelled(samples: Mapping[str, float], name: str) -> dict[str, float]:
    """Of a metric with one label, its values by that label's."""
    found = (re.fullmatch(rf'{name}\{{\w+="([^"]*)"\}}', sample) for sample in samples)
    return {match[1]: samples[match[0]] for match in found if match}


def refused(answer: requests.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The error of an answer that must have the one shape of errors."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    assert document.keys() == {"error"}
    error = document["error"]
    assert error.keys() == {"code", "message", "field", "details"}
    assert (error["code"], error["field"]) == (code, field), error
    assert error["message"]
    assert isinstance(error["details"], dict)
    return dict(error)

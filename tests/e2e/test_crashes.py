"""Ended at any moment, by kill -9 or by SIGTERM under load: what was acknowledged is there, once; no number falls."""

import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.e2e.process import Service, parsed

Launch = Callable[..., Service]
WRITERS = 8
ROUNDS = 4
SETTINGS = {"TCPS_BUCKETS__RELIABILITY__LIMIT": "unlimited", "TCPS_REFRESH_INTERVAL": "100ms"}
OF_THE_PROCESS = ("tcps_kanban_refusals_total", "tcps_sink_failures_total", "python_", "process_")


class Load:
    """Writers that each make, start and complete orders and pull cords, and a scraper; what was acknowledged to them.

    `acknowledged` holds (what, label); `asked` the creations without an answer, by their Idempotency-Key.
    """

    def __init__(self, service: Service, name: str):
        self.url, self.name = service.url, name
        self.acknowledged: list[tuple[str, str]] = []
        self.asked: dict[str, dict[str, Any]] = {}
        self.greatest: dict[str, float] = {}
        self.faults: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=[writer]) for writer in range(WRITERS)]
        self._threads.append(threading.Thread(target=self._scrape))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        assert self.faults == []

    def _write(self, writer: int) -> None:
        with requests.Session() as http:
            http.trust_env = False
            for count in range(10_000):
                if self._ended.is_set():
                    return
                try:
                    self._one(http, f"{self.name}-{writer}-{count}")
                except requests.RequestException:
                    return

    def _one(self, http: requests.Session, label: str) -> None:
        body = {"description": label, "sku_id": label}
        self.asked[label] = body
        answer = self._post(http, "/api/work-orders", body, label)
        if answer is None:
            return
        del self.asked[label]
        self.acknowledged.append(("created", label))
        for verb, what in [("start", "started"), ("complete", "completed")]:
            if self._post(http, f"/api/work-orders/{answer['id']}/{verb}", {}):
                self.acknowledged.append((what, label))
        if self._post(http, "/api/andon", {"failure_type": "test_failure", "sku_id": label}):
            self.acknowledged.append(("raised", label))

    def _post(self, http: requests.Session, path: str, body: dict[str, Any], key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = http.post(self.url + path, json=body, headers=headers, timeout=20)
        if answer.status_code == 503 and answer.json()["error"]["message"] == "the service is shutting down":
            return None
        if answer.status_code not in (200, 201):
            self.faults.append(f"{path}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer.json()

    def _scrape(self) -> None:
        with requests.Session() as http:
            http.trust_env = False
            while not self._ended.is_set():
                try:
                    answer = http.get(f"{self.url}/metrics", timeout=20)
                except requests.RequestException:
                    return
                if answer.status_code == 200:
                    self._look(parsed(answer.text))
                time.sleep(0.02)

    def _look(self, samples: dict[str, float]) -> None:
        for name, value in samples.items():
            if never_falls(name):
                if value < self.greatest.get(name, 0):
                    self.faults.append(f"{name} fell from {self.greatest[name]} to {value}")
                self.greatest[name] = max(value, self.greatest.get(name, 0))


def never_falls(name: str) -> bool:
    grows = re.search(r"_(total|bucket|count|sum|completed)(\{|$)", name)
    return bool(grows) and not name.startswith(OF_THE_PROCESS)


def everything_acknowledged_is_there(service: Service, acknowledged: list[tuple[str, str]]) -> None:
    """Each once; and the ledger has no hole."""
    facts = service.facts()
    assert [fact["seq"] for fact in facts] == list(range(1, len(facts) + 1))
    labels = {}
    told: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        what = fact["kind"].partition(".")[2]
        if fact["kind"].startswith("work_orders."):
            labels[fact["data"]["work_order_id"]] = fact["data"]["now"]["sku_id"]
            told[what, fact["data"]["now"]["sku_id"]] += 1
        elif what == "raised":
            told[what, fact["data"]["sku_id"]] += 1
    assert [one for one in acknowledged if told[one] != 1] == []
    assert [one for one, times in told.items() if times != 1] == []
    orders = service.listed("/api/work-orders")
    assert Counter(order["description"] for order in orders) == Counter(labels.values())
    known = {(status, order["description"]) for order in orders for status in statuses(order)}
    assert {(what, label) for what, label in acknowledged if what != "raised"} <= known


def statuses(order: dict[str, Any]) -> Iterator[str]:
    names = {"queued": "created", "in_progress": "started", "completed": "completed"}
    return (names[moment["status"]] for moment in order["history"])


def numbers_follow_from_the_ledger(service: Service, greatest: dict[str, float]) -> None:
    samples = service.samples()
    assert {name: (value, samples.get(name)) for name, value in greatest.items() if samples.get(name, -1) < value} == {}
    counts = Counter(fact["kind"] for fact in service.facts())
    assert samples["tcps_work_orders_total"] == counts["work_orders.created"]
    assert samples["tcps_work_orders_completed_total"] == counts["work_orders.completed"]
    assert samples['tcps_andon_events_total{severity="warning"}'] == counts["andon.raised"]
    assert samples['tcps_work_order_lead_time_seconds_count{bucket="reliability"}'] == counts["work_orders.completed"]


def test_kill_9_at_random_moments_loses_doubles_and_lowers_nothing(launch: Launch) -> None:
    dice = random.Random(7)
    acknowledged: list[tuple[str, str]] = []
    greatest: dict[str, float] = {}
    for number in range(ROUNDS):
        service = launch(env=SETTINGS)
        load = Load(service, f"round{number}")
        time.sleep(dice.uniform(0.15, 1.0))
        service.kill()
        load.end()
        assert load.acknowledged
        acknowledged += load.acknowledged
        greatest |= load.greatest
        service = launch(env=SETTINGS)
        for label, body in load.asked.items():
            again = service.ask("POST", "/api/work-orders", json=body, headers={"Idempotency-Key": label})
            assert again.status_code == 201
        acknowledged += [("created", label) for label in load.asked]
        everything_acknowledged_is_there(service, acknowledged)
        numbers_follow_from_the_ledger(service, greatest)
        service.kill() if number % 2 else service.stop()


def test_sigterm_under_load_loses_nothing_and_exits_0(launch: Launch) -> None:
    service = launch(env=SETTINGS)
    load = Load(service, "drained")
    time.sleep(1)
    service.stop(seconds=8)
    load.end()
    assert len(load.acknowledged) > 50
    again = launch(env=SETTINGS)
    everything_acknowledged_is_there(again, load.acknowledged)
    numbers_follow_from_the_ledger(again, load.greatest)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_ends_at_once_though_clients_keep_connections(number: int, launch: Launch) -> None:
    service = launch()
    with requests.Session() as kept:
        kept.get(f"{service.url}/api/health/live", timeout=5)
        began = time.monotonic()
        service.process.send_signal(number)
        assert service.process.wait(5) == 0
        assert time.monotonic() - began < 2
    assert "Traceback" not in service.stderr()


def test_a_request_that_has_begun_is_answered_before_the_end(launch: Launch) -> None:
    service = launch()
    begun = threading.Event()

    def rows() -> Iterator[bytes]:
        yield b"id,created_at\n"
        for number in range(60):
            begun.set()
            time.sleep(0.02)
            yield b"".join(b"I-%d-%d,%d\n" % (number, row, 1000 + row) for row in range(10))

    answers: list[requests.Response | Exception] = []

    def send() -> None:
        try:
            answers.append(service.ingest(rows()))
        except requests.RequestException as error:
            answers.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    begun.wait()
    time.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    thread.join()
    assert service.process.wait(8) == 0
    assert isinstance(answers[0], requests.Response), f"cut off: {answers[0]}"
    assert (answers[0].status_code, answers[0].json()["facts"]) == (200, 600)

"""The real Prometheus scrapes the real service, and its own API gives back every family with the right values."""

import re
import socket
import subprocess
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.contract import Metric
from tests.e2e.process import DAY, HOUR, Service, now, parsed, wait_until
from tests.line import Line

RESOLUTION = {"root_cause": "a", "fix_applied": "b", "prevention_added": "c", "resolver": "ana"}
CONFIG = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: tcps-exporter
    static_configs:
      - targets: ["{target}"]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Prometheus:
    """A Prometheus of its own, that scrapes one target once a second."""

    def __init__(self, program: Path, target: str, folder: Path):
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(target=target.removeprefix("http://")), encoding="utf-8")
        listen = self.url.removeprefix("http://")
        line = [
            str(program),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={listen}",
        ]
        with (folder / "prometheus.txt").open("wb") as out:
            self.process = subprocess.Popen(line, cwd=folder, stdout=out, stderr=out)

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10)
        answer.raise_for_status()
        return list(answer.json()["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Of the only series. None: there is none yet, or Prometheus isn't up yet."""
        try:
            found = self.query(expression)
        except requests.RequestException:
            return None
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


Watch = Callable[[Service], Prometheus]


@pytest.fixture
def watch(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[Watch]:
    """Starts a Prometheus on a service and waits for its first scrape."""
    started: list[Prometheus] = []

    def start(service: Service) -> Prometheus:
        started.append(Prometheus(tool("prometheus"), service.url, tmp_path))
        wait_until(lambda: started[-1].value("up") == 1, "a scrape", 30)
        return started[-1]

    yield start
    for prometheus in started:
        prometheus.stop()


def tell(service: Service) -> None:
    """A story in which something of every family happens."""
    at = now() - 3 * DAY
    for bucket, hours in [("reliability", 3), ("security", 30), ("cost", 1)]:
        order = service.create(bucket=bucket, occurred_at=at)
        service.act(order, "start", occurred_at=at + HOUR)
        service.act(order, "complete", occurred_at=now() - hours * HOUR)
    service.act(order, "reopen")
    service.create(bucket="security", occurred_at=at)
    service.create(bucket="security", occurred_at=now() - 20 * HOUR)
    service.act(service.create(bucket="compliance"), "start")
    service.ask("PUT", "/api/kanban/compliance", json={"limit": 1})
    assert service.act(service.create(bucket="compliance"), "start").status_code == 409
    for kind in ("compilation_failure", "test_failure", "odd_noise", "test_failure"):
        andon = service.cord(failure_type=kind, occurred_at=now() - HOUR)
    service.post(f"/api/andon/{andon}/acknowledge")
    service.post(f"/api/andon/{andon}/resolve", **RESOLUTION)
    service.ingest(b"id,created_at\nI-1,1000\nI-2,never\n")


def families(metrics: Collection[Metric]) -> dict[str, str]:
    """Every family by its name, and its type on /metrics; aliases too."""
    aliases: dict[str, str] = {metric.alias: "untyped" for metric in metrics if metric.alias}
    return {metric.name: metric.kind for metric in metrics} | aliases


def test_every_family_arrives_with_the_values_that_are_shown(
    launch: Callable[..., Service], watch: Watch, line: Line
) -> None:
    service = launch(env={"TCPS_REFRESH_INTERVAL": "1h", "TCPS_ACK_TIMEOUT": "1d"})
    tell(service)
    everything = service.refresh()
    prometheus = watch(service)
    shown = parsed(service.get("/metrics").text)
    series = prometheus.query('{job="tcps-exporter"}')
    stored = {one["metric"]["__name__"] for one in series}
    declared = families(line.service.registry.metrics.values())
    names = {f"{name}_count" if kind == "histogram" else name for name, kind in declared.items()}
    assert names - stored == set()
    found = {spelled(one["metric"]): float(one["value"][1]) for one in series}
    steady = {name: value for name, value in shown.items() if re.match("tcps_(?!store_bytes)", name)}
    assert {name: found.get(name) for name in steady} == steady
    overview, andon, flow = everything["overview"], everything["andon"], everything["flow"]
    for expression, value in [
        ("up", 1), ("tcps_work_orders_total", overview["total_work_orders"]),
        ("tcps_work_orders_active", overview["active_work_orders"]),
        ("tcps_work_orders_completed", 3), ("tcps_work_orders_completed_total", 3),
        ("tcps_work_orders_reopened_total", flow["reopened"]),
        ("tcps_andon_events_open", andon["total_open"]), ("sum(tcps_andon_events_by_severity)", andon["total_open"]),
        ('tcps_andon_unacknowledged{severity="critical"}', 1), ("tcps_lead_time_avg", overview["avg_lead_time_hours"]),
        ("tcps_cycle_time_p50", flow["cycle_time_hours"]["p50"]),
        ("tcps_throughput_per_hour", overview["throughput_per_hour"]),
        ('tcps_kanban_wip{bucket="compliance"}', everything["kanban"]["compliance"]["current"]),
        ('tcps_kanban_wip_limit{bucket="compliance"}', 1),
        ('tcps_kanban_refusals_total{bucket="compliance"}', 1), ('tcps_work_orders_sla_breached{bucket="security"}', 1),
        ('tcps_work_orders_sla_warning{bucket="security"}', 1),
        ('tcps_ingest_events_total{source="csv",outcome="rejected"}', 1),
        ("sum(tcps_work_order_lead_time_seconds_count)", 3),
        ('sum(tcps_work_order_lead_time_seconds_bucket{le="+Inf"})', 3),
        ('tcps_work_order_cycle_time_seconds_bucket{bucket="security",le="172800.0"}', 1),
        ("min(tcps_collector_success)", 1), ("tcps_view_lag_facts", 0),
    ]:  # fmt: skip
        assert prometheus.value(expression) == value, expression
    assert not [one for one in series if re.search(r"WO-\d|AND-\d|sku-", str(one["metric"]))]


def spelled(labels: dict[str, str]) -> str:
    """A stored series as its line in the text."""
    own = {name: value for name, value in labels.items() if name not in ("__name__", "job", "instance")}
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(own.items()))
    return labels["__name__"] + (f"{{{inside}}}" if inside else "")


def test_a_bucket_out_of_the_configuration_leaves_the_next_scrape(
    launch: Callable[..., Service], watch: Watch, tmp_path: Path
) -> None:
    config = tmp_path / "tcps.toml"
    config.write_text("[buckets.web]\nlimit = 3\n[buckets.cost]\nlimit = 5\n", encoding="utf-8")
    service = launch("--config", str(config))
    order = service.create(bucket="web")
    service.act(order, "start")
    service.act(order, "complete")
    service.refresh()
    port = service.url.rpartition(":")[2]
    prometheus = watch(service)
    of_web = 'count({bucket="web"})'
    assert prometheus.value(of_web)
    assert prometheus.value("tcps_work_orders_completed_total") == 1
    service.stop()
    config.write_text("[buckets.cost]\nlimit = 5\n", encoding="utf-8")
    again = launch("--config", str(config), "--port", port)
    assert "web" not in again.refresh()["kanban"]
    left = sorted({re.split(r"[{]", name)[0] for name in again.samples() if 'bucket="web"' in name})
    assert left == [], left
    wait_until(lambda: prometheus.value("up") == 1 and prometheus.value(of_web) is None, "a scrape without web", 10)
    assert prometheus.value("tcps_work_orders_completed_total") == 1


def test_promtool_has_nothing_to_say(launch: Callable[..., Service], tool: Callable[[str], Path]) -> None:
    service = launch()
    for told in (False, True):
        if told:
            tell(service)
            service.refresh()
        body = service.get("/metrics").content
        done = subprocess.run([tool("promtool"), "check", "metrics"], input=body, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done


def test_counts_of_known_labels_are_there_from_the_start_and_what_is_unknown_is_not(
    launch: Callable[..., Service],
) -> None:
    samples = launch().samples()
    for severity in ("critical", "warning", "info"):
        for name in ("tcps_andon_events_total", "tcps_andon_events_by_severity", "tcps_andon_unacknowledged"):
            assert samples[f'{name}{{severity="{severity}"}}'] == 0
    for bucket in ("reliability", "security", "cost", "compliance"):
        for name in (
            "tcps_kanban_wip", "tcps_kanban_queued", "tcps_kanban_refusals_total", "tcps_work_orders_sla_breached",
            "tcps_work_order_lead_time_seconds_count", "tcps_work_order_cycle_time_seconds_count",
        ):  # fmt: skip
            assert samples[f'{name}{{bucket="{bucket}"}}'] == 0
    assert samples["tcps_work_orders_total"] == samples["tcps_work_orders_completed_total"] == 0
    for absent in (
        "tcps_lead_time_avg",
        "tcps_cycle_time_p50",
        "tcps_andon_oldest_open",
        "tcps_quality_gate_pass_rate",
    ):
        assert not [name for name in samples if name.startswith(absent)]


def test_every_family_has_help_and_the_type_that_is_declared(launch: Callable[..., Service], line: Line) -> None:
    text = launch().get("/metrics").text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert len(types) == len(re.findall(r"^# TYPE ", text, re.MULTILINE))
    for name, kind in families(line.service.registry.metrics.values()).items():
        assert types.get(name, kind) == kind, name
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    assert types.keys() <= helps.keys()
    assert all(helps[name].strip() for name in types)

"""From snapshots to OpenTelemetry and from there to the Prometheus text.

Every domain value is an observable instrument that reads the newest snapshot: a label set that ends is gone with the
next scrape. The SDK has no observable histogram, so the reader appends the views' own (see _Reader).
"""

import dataclasses
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    MetricsData,
    ResourceMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.metrics.export import Metric as MetricData
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import UnknownMetricFamily
from prometheus_client.registry import Collector as PrometheusCollector

from exporter import __version__
from exporter.contract import Metric, Values
from exporter.ledger import Ledger
from exporter.measures import Buckets

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Source = Callable[[], Mapping[str, Values]]


class Telemetry:
    """`values` gives the newest numbers by metric name; sums count from when the ledger began."""

    def __init__(self, metrics: list[Metric], values: Source, ledger: Ledger):
        self._registry = CollectorRegistry()
        histograms = [metric for metric in metrics if metric.kind == "histogram"]
        reader = _Reader(values, histograms, ledger, self._registry)
        resource = {"service.name": "tcps-exporter", "service.version": __version__}
        resource["service.instance.id"] = socket.gethostname()
        self._provider = MeterProvider([reader], resource=Resource(resource), shutdown_on_exit=False)
        meter = self._provider.get_meter("tcps_exporter", __version__)
        create = {"gauge": meter.create_observable_gauge, "counter": meter.create_observable_counter}
        for metric in metrics:
            if metric.kind != "histogram":
                # unit stays empty: the exporter would append it to the name
                create[metric.kind](metric.name, callbacks=[_observer(metric, values)], description=metric.help)
        self._registry.register(_Aliases([metric for metric in metrics if metric.alias], values))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def render(self) -> bytes:
        """The text of all families, format 0.0.4."""
        return generate_latest(self._registry)

    def close(self) -> None:
        self._provider.shutdown(timeout_millis=2000)


class _Reader(PrometheusMetricReader):
    """Appends the histograms of the views, and dates sums from the ledger's birth: a restart is no new beginning."""

    def __init__(self, values: Source, histograms: list[Metric], ledger: Ledger, registry: CollectorRegistry):
        super().__init__(registry=registry, scope_info_enabled=False)
        self._values, self._histograms, self._ledger = values, histograms, ledger

    @property
    def _born(self) -> int:
        return self._ledger.born_at * 1_000_000

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        resources = [self._extend(resource) for resource in metrics_data.resource_metrics]
        super()._receive_metrics(MetricsData(resources), timeout_millis=timeout_millis, **kwargs)

    def _extend(self, resource: ResourceMetrics) -> ResourceMetrics:
        scopes = [
            dataclasses.replace(scope, metrics=[*map(self._dated, scope.metrics), *self._appended()])
            for scope in resource.scope_metrics
        ]
        return dataclasses.replace(resource, scope_metrics=scopes)

    def _dated(self, metric: MetricData) -> MetricData:
        if not isinstance(metric.data, Sum):
            return metric
        points = [dataclasses.replace(p, start_time_unix_nano=self._born) for p in metric.data.data_points]
        return dataclasses.replace(metric, data=dataclasses.replace(metric.data, data_points=points))

    def _appended(self) -> Iterator[MetricData]:
        values = self._values()
        for metric in self._histograms:
            found = values.get(metric.name)
            each = found.items() if isinstance(found, Mapping) else ()
            points = [self._point(metric, labels, one) for labels, one in each if isinstance(one, Buckets)]
            if points:
                data = HistogramData(points, AggregationTemporality.CUMULATIVE)
                yield MetricData(metric.name, metric.help, "", data)

    def _point(self, metric: Metric, labels: tuple[str, ...], buckets: Buckets) -> HistogramDataPoint:
        cumulative = buckets.cumulative
        counts = [count - before for count, before in zip(cumulative, [0, *cumulative], strict=False)]
        bounds = [bound / 1000 for bound in buckets.bounds]
        attributes = dict(zip(metric.labels, labels, strict=True))
        total = buckets.total / 1000
        unknown: Any = None  # the smallest and the largest sample, which nobody keeps
        count = cumulative[-1]
        return HistogramDataPoint(attributes, self._born, self._born, count, total, counts, bounds, unknown, unknown)


class _Aliases(PrometheusCollector):
    """Second, untyped names of counters, which OpenTelemetry would type and suffix."""

    def __init__(self, metrics: list[Metric], values: Source):
        self._metrics, self._values = metrics, values

    def describe(self) -> list[Any]:
        return []  # otherwise registering collects

    def collect(self) -> Iterator[UnknownMetricFamily]:
        values = self._values()
        for metric in self._metrics:
            if metric.alias:
                family = UnknownMetricFamily(metric.alias, f"Untyped alias of {metric.name}.", labels=metric.labels)
                for labels, value in samples(values.get(metric.name)):
                    family.add_metric(labels, value)
                yield family


def samples(values: Values) -> Iterator[tuple[tuple[str, ...], float]]:
    """The numbers of one metric by label values. What was not measured (None) has no sample."""
    each = values.items() if isinstance(values, Mapping) else [((), values)]
    return ((labels, value) for labels, value in each if isinstance(value, (int, float)))


def _observer(metric: Metric, values: Source) -> Callable[[CallbackOptions], list[Observation]]:
    def observe(_: CallbackOptions) -> list[Observation]:
        found = values().get(metric.name)
        return [Observation(value, dict(zip(metric.labels, labels, strict=True))) for labels, value in samples(found)]

    return observe


def revision() -> str:
    """The commit that this runs from, where it runs from a checkout; unknown otherwise."""
    folder = Path(__file__).parent
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"

"""What the process counts of itself: refusals, failures of sinks, requests. It starts at 0 with the process."""

from collections.abc import Iterable, Mapping

from exporter.contract import Metric, Settings

Labels = tuple[str, ...]


class Tallies:
    """Counters by metric and label values; declared label sets show 0 before anything was counted."""

    def __init__(self, metrics: Iterable[Metric], settings: Settings):
        self._counts: dict[str, dict[Labels, int]] = {
            metric.name: dict.fromkeys(metric.starts(settings), 0) if metric.starts else {}
            for metric in metrics
            if metric.process
        }

    def add(self, metric: str, labels: Labels = (), by: int = 1) -> None:
        counts = self._counts[metric]
        counts[labels] = counts.get(labels, 0) + by

    def values(self) -> Mapping[str, Mapping[Labels, int]]:
        return self._counts

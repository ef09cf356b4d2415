"""Writes the documentation that is made from the code: METRICS.md, docs/configuration.md and README's collectors."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter import registry
from exporter.contract import Metric
from exporter.host_metrics import HOST_METRICS
from exporter.host_settings import HOST
from exporter.settings import describe

ROOT = Path(__file__).parent.parent
KINDS = {"gauge": "gauge", "counter": "counter", "histogram": "histogram (seconds)"}


def pages(plugins: registry.Registry) -> Mapping[str, str]:
    """The generated files by their path in the project."""
    return {
        "METRICS.md": _metrics(plugins),
        "docs/configuration.md": _configuration(plugins),
        "README.md": _readme(plugins),
    }


def _readme(plugins: registry.Registry) -> str:
    """The README with its table of collectors as they are now."""
    before, _, rest = (ROOT / "README.md").read_text().partition("<!-- collectors -->\n")
    rows = [f"| [{c.name}](collectors/{c.name}/__init__.py) | {c.summary.partition(': ')[2]} |" for c in plugins]
    table = "\n".join(["| collector | what it watches |", "|---|---|", *rows])
    return f"{before}<!-- collectors -->\n{table}\n<!-- /collectors -->{rest.partition('<!-- /collectors -->')[2]}"


def _metrics(plugins: registry.Registry) -> str:
    lines = [METRICS]
    for collector in plugins:
        if collector.metrics:
            lines += [f"## {collector.name}", "", collector.summary, "", *_table(collector.metrics), ""]
    lines += ["## the exporter itself", "", *_table(HOST_METRICS), ""]
    lines += ["Beside these: `process_*` and `python_*` of the process, and `target_info`.", ""]
    return "\n".join(lines)


def _table(metrics: Iterable[Metric]) -> Iterable[str]:
    yield "| name | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in metrics:
        kind = KINDS[metric.kind] + (", *process*" if metric.process else "")
        alias = f" Also as the untyped `{metric.alias}`." if metric.alias else ""
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {kind} | {labels} | {metric.help}{alias} |"


def _configuration(plugins: registry.Registry) -> str:
    return CONFIGURATION + describe([*HOST, *plugins.settings])


METRICS = """# Metrics

Made from the code by `make docs`. What /metrics shows, by the collector that owns it. What was not measured has no
sample. Counters and histograms of the line never fall, over restarts too; those marked *process* start at 0 with the
process. One finished import of history lets the former fall once to their true values, so rates across an import mean
nothing. Replicas show the same numbers: fold them with `max without (instance)`.
"""
CONFIGURATION = """# Configuration

Made from the code by `make docs`. Settings come from a TOML file (`--config FILE` or `TCPS_CONFIG`), then from the
environment, then from flags; the later wins. An unknown key or `TCPS_` variable is an error that names the nearest
known one. `tcps-exporter check --config FILE` prints every fault, one a line.

```toml
# tcps.toml
port = 9000
refresh_interval = "5s"

[buckets.reliability]
limit = 4

[buckets.security]
limit = 2
sla_hours = 12

[windows]
lead_time = "90d"
```

- Durations are `500ms`, `5s`, `15m`, `2h`, `30d`, `1w`; a bare number is seconds. Sizes are `512 KiB`, `32 MiB`.
- Between levels the environment has two underscores: `TCPS_BUCKETS__SECURITY__LIMIT=2`. Lists are separated by commas.
- A table of buckets in the file takes the place of all default buckets; the environment changes and adds some.
- A limit set at run time (`PUT /api/kanban/BUCKET`) holds until the configured value itself changes.
- Changing a bucket's `sla_hours` changes the deadline of an order when its next event is recorded.

"""


def main() -> None:
    for name, text in pages(registry.discover()).items():
        (ROOT / name).write_text(text)
        sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()

"""Collectors of somebody else, installed beside the service by a folder on PYTHONPATH."""

from pathlib import Path

FAILING = '''
"""Reads once, then fails."""

from exporter.contract import Collector, Document, Metric, Reading, Struct, View


class Count(Struct):
    readings: int


class Failing(View):
    def __init__(self, settings, since):
        self._readings = 0

    def handlers(self):
        return {}

    def read(self, now, documents):
        self._readings += 1
        if self._readings > 1:
            raise RuntimeError("the second reading fails")
        return Reading(Count(readings=self._readings), {"tcps_failing_readings": self._readings})


COLLECTOR = Collector(
    name="failing", summary="Reads once, then fails.", view=Failing, document=Document(Count),
    metrics=(Metric("tcps_failing_readings", "gauge", "Readings."),),
)
'''


def install(folder: Path, name: str, code: str) -> dict[str, str]:
    """A package of this name with COLLECTOR in it, and its entry point. The environment that makes it seen."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[tcps_exporter.collectors]\n{name} = {name}:COLLECTOR\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}

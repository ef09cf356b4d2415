"""The five numbers and the gates; null where nothing was measured."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from exporter.contract import Fact, Reading, Settings, Struct, View

TARGETS = {
    "test_pass_rate": 0.8, "code_coverage": 0.8, "defect_rate": 0.01, "first_pass_yield": 0.95,
    "security_scan_pass": 0.95,
}  # fmt: skip


class Measured(Struct):
    """A ratio against its target (of defect_rate: a maximum); n samples."""

    value: float | None
    target: float
    status: Literal["pass", "fail", "no_data"]
    n: int


class Gate(Struct):
    pass_rate: float | None
    first_pass_yield: float | None
    n: int
    target: float


class QualityDocument(Struct):
    pass_rate: float | None
    test_pass_rate: Measured
    code_coverage: Measured
    defect_rate: Measured
    first_pass_yield: Measured
    security_scan_pass: Measured
    gates: dict[str, Gate]


class Quality(View):
    def __init__(self, settings: Settings, since: int):
        self._targets = {name: settings[f"targets.{name}"] for name in TARGETS}
        self._stages = settings["stages"]

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {}

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        measured = {n: Measured(value=None, target=t, status="no_data", n=0) for n, t in self._targets.items()}
        target = self._targets["test_pass_rate"]
        gates = {name: Gate(pass_rate=None, first_pass_yield=None, n=0, target=target) for name in self._stages}
        return Reading(QualityDocument(pass_rate=None, gates=gates, **measured))

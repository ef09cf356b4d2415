"""The health of the line, pure."""

from collections.abc import Mapping

PARTS = ("quality", "andon", "throughput", "lead_time")


def parts(
    pass_rate: float | None, open_andons: int | None, throughput_per_hour: float | None, lead_time_hours: float | None
) -> dict[str, float | None]:
    """Each part from 0 to 1: ten open andons, no throughput, or 100 hours of lead time are 0; 5 an hour are 1."""
    return {
        "quality": pass_rate,
        "andon": None if open_andons is None else 1 - min(1.0, open_andons / 10),
        "throughput": None if throughput_per_hour is None else min(1.0, throughput_per_hour / 5),
        "lead_time": None if lead_time_hours is None else max(0.0, 1 - lead_time_hours / 100),
    }


def overall(known: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The weighted mean of what is known; the weight of the unknown is shared by the rest. None: nothing is known."""
    measured = {part: value for part, value in known.items() if value is not None}
    total = sum(weights[part] for part in measured)
    return sum(weights[part] * value for part, value in measured.items()) / total if total else None

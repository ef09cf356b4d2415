"""Quality before any gate result is taken in: all of it reads "no data", with the targets in place."""

from tests.line import Line

TARGETS = {
    "test_pass_rate": 0.8, "code_coverage": 0.8, "defect_rate": 0.01, "first_pass_yield": 0.95,
    "security_scan_pass": 0.95,
}  # fmt: skip
STAGES = (
    "shacl_validation", "compilation", "test_execution", "security_scan", "deterministic_build", "quality_metrics",
    "release_verification", "smoke_test",
)  # fmt: skip


def test_without_a_gate_result_nothing_is_measured(line: Line) -> None:
    found = line.document("quality")
    assert found["window_seconds"] == 7 * 86_400
    for name, target in TARGETS.items():
        assert found[name] == {"value": None, "target": target, "status": "no_data", "n": 0}
    assert tuple(found["gates"]) == STAGES
    for gate in found["gates"].values():
        assert {gate["pass_rate"], gate["first_pass_yield"], gate["n"]} == {None, 0}


def test_targets_are_settings(tmp_path) -> None:
    line = Line(tmp_path, **{"targets.defect_rate": 0.5})
    found = line.document("quality")
    line.close()
    assert (found["defect_rate"]["target"], found["test_pass_rate"]["target"]) == (0.5, 0.8)


def test_what_was_not_measured_has_no_sample(line: Line) -> None:
    assert [name for name in line.metrics() if "quality_gate_pass" in name or "first_pass" in name] == []

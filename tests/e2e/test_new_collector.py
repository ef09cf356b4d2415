"""What collectors/README.md says is all there is to do: a folder, a line, `make setup`; done in a copy."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, Service, environment

pytestmark = pytest.mark.timeout(400)

LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "node_modules")


def block(marker: str) -> str:
    """The fenced block of the page that follows <!-- marker -->."""
    text = (ROOT / "collectors/README.md").read_text(encoding="utf-8")
    found = re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, f"collectors/README.md has {len(found)} blocks marked {marker}"
    return str(found[0])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the page was followed."""
    tree = tmp_path_factory.mktemp("copy") / "main"
    shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
    (tree / "collectors/coffee").mkdir()
    (tree / "collectors/coffee/__init__.py").write_text(block("coffee"), encoding="utf-8")
    config = tree / "setup.cfg"
    before, heading, after = config.read_text(encoding="utf-8").partition("tcps_exporter.collectors =\n")
    config.write_text(before + heading + block("line") + after, encoding="utf-8")
    done = make(tree, "setup")
    assert done.returncode == 0, done.stdout + done.stderr
    return tree


def make(tree: Path, verb: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", verb], cwd=tree, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def service(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("served"), program=tree / ".venv/bin/tcps-exporter") as service:
        yield service


def test_its_command_is_a_route_and_its_document_counts(service: Service) -> None:
    before = service.refresh()["coffee"]["cups"]
    assert service.post("/api/coffee", cups=2).status_code == 201
    assert service.post("/api/coffee").json() == {"cups": 1}
    assert service.refresh()["coffee"]["cups"] == before + 3
    document = service.get("/api/metrics/coffee").json()
    assert (document["cups"], document["stale"]) == (before + 3, False)
    assert service.post("/api/coffee", cups="many").status_code == 422
    assert [fact["data"] for fact in service.facts(kind="coffee.drunk")][-2:] == [{"cups": 2}, {"cups": 1}]


def test_its_metric_is_scraped(service: Service) -> None:
    service.post("/api/coffee")
    samples = service.samples()
    assert samples["tcps_coffee_cups_total"] == service.refresh()["coffee"]["cups"] > 0
    assert samples['tcps_collector_success{collector="coffee"}'] == 1
    assert service.get("/api/health").json()["services"]["coffee"] == {"status": "ok"}


def test_the_api_describes_it(service: Service) -> None:
    paths = service.get("/api/openapi.json").json()["paths"]
    assert set(paths["/api/coffee"]) == {"post"}
    assert set(paths["/api/metrics/coffee"]) == {"get"}
    assert "/api/coffee" in service.get("/api/docs").text


def test_the_command_line_lists_it(tree: Path) -> None:
    done = subprocess.run([tree / ".venv/bin/tcps-exporter", "collectors"], capture_output=True, text=True, check=False)
    for word in ("coffee", "coffee.drink", "coffee.drunk", "tcps_coffee_cups_total", "/api/metrics/coffee"):
        assert word in done.stdout.split()


def test_its_facts_count_again_after_a_restart_without_a_checkpoint(service: Service, tree: Path) -> None:
    """The last with this service: it kills it."""
    service.post("/api/coffee")
    cups = service.refresh()["coffee"]["cups"]
    service.kill()
    with Service(service.folder, program=tree / ".venv/bin/tcps-exporter") as again:
        assert again.refresh()["coffee"]["cups"] == cups


def test_no_rule_of_the_house_needs_a_word_about_it(tree: Path) -> None:
    rules = ["tests/test_architecture.py", "tests/test_packaging.py"]
    done = subprocess.run(
        [tree / ".venv/bin/pytest", "-q", *rules],
        cwd=tree,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]

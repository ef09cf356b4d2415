"""The documentation is true: generated pages are current, and what is shown to be typed works as printed."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from exporter import docs, registry
from exporter.host_settings import HOST
from tests.conftest import ROOT
from tests.served import Served, serving

BIN = ROOT / ".venv" / "bin"


def blocks(page: str, marker: str) -> list[str]:
    """The fenced blocks that follow <!-- marker -->."""
    text = (ROOT / page).read_text()
    return re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```", text, re.DOTALL)


def commands(page: str, marker: str) -> list[tuple[str, str]]:
    """(command, the line of comment under it) of each `$ ` line in those blocks."""
    lines = [line for block in blocks(page, marker) for line in block.splitlines()]
    pairs = zip(lines, [*lines[1:], ""], strict=True)
    return [(line[2:], after) for line, after in pairs if line.startswith("$ ")]


def run(command: str, service: Served, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command as printed, against this service and in this folder."""
    words = shlex.split(command.replace("localhost:8080", service.address.removeprefix("http://")))
    words[0] = str(BIN / words[0]) if (BIN / words[0]).exists() else words[0]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("page", ["METRICS.md", "docs/configuration.md", "README.md"])
def test_generated_page_is_current(page: str) -> None:
    assert docs.pages(registry.discover())[page] == (ROOT / page).read_text(), "run make docs"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_readme_tour_works_as_printed(tmp_path: Path) -> None:
    told = commands("README.md", "tour")
    assert len(told) > 10
    with serving(tmp_path) as service:
        for command, comment in told:
            answered = run(f"{command} -s -w '%{{http_code}}'", service, tmp_path).stdout
            expected, words = comment.removeprefix("# ").split(" ", 1)[0].rstrip(":"), comment
            assert answered.endswith(expected), f"{command}\n{answered}"
            for name in re.findall(r"WO-\d+|AND-\d+|wip_limit_reached|line_stopped", words):
                assert name in answered, f"{command}\n{answered}"


def test_troubleshooting_commands_work(tmp_path: Path) -> None:
    told = commands("docs/troubleshooting.md", "run")
    assert len(told) > 6
    with serving(tmp_path) as service:
        for command, _ in told:
            done = run(command.replace("curl -s", "curl -sS --fail"), service, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_import_examples_work_as_printed(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(blocks("docs/import.md", "wide")[0])
    (tmp_path / "log.csv").write_text(blocks("docs/import.md", "log")[0])
    command = commands("docs/import.md", "command")[0][0]
    with serving(tmp_path) as service:
        wide = run(f"tcps-exporter import csv wide.csv --url {service.address}", service, tmp_path)
        log = run(f"{command} --url {service.address}", service, tmp_path)
        assert (wide.returncode, log.returncode) == (0, 0), wide.stderr + log.stderr
        flow = service.get("/api/metrics/refresh", method="POST").json()["flow"]
    assert flow["cycle_time_hours"]["n"] == 2
    assert flow["lead_time_hours"]["mean"] == pytest.approx((25 + 26.5) / 2)


def test_every_endpoint_is_in_the_contract_of_errors() -> None:
    page = (ROOT / "docs/api.md").read_text()
    codes = {code for command in registry.discover().commands.values() for _, code in command.errors}
    assert {code for code in codes if code not in page} <= {"not_found"}


def test_settings_that_pages_name_exist() -> None:
    known = {row.key for row in [*HOST, *registry.discover().settings]}
    named = {
        name
        for page in ("docs/operations.md", "docs/api.md", "docs/troubleshooting.md")
        for name in re.findall(r"`((?:windows|targets|health|buckets)\.[a-z_.]+)`", (ROOT / page).read_text())
    }
    assert named <= known


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "collectors/README.md"]
    lost = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert lost == []

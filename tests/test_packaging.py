"""What is declared, what lies in the folders and what is installed are the same."""

import configparser
import re
import sysconfig
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

import exporter

ROOT = Path(__file__).parent.parent
GROUP = "tcps_exporter.collectors"


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def installed() -> Distribution:
    # Only site-packages: tcps_exporter.egg-info in the root of the repository would hide it.
    found = list(distributions(name="tcps-exporter", path=[sysconfig.get_path("purelib")]))
    assert found, "tcps-exporter isn't installed here: run make setup"
    return found[0]


def listed(lines: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines.strip().splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def entry_points(distribution: Distribution, group: str) -> dict[str, str]:
    return {point.name: point.value for point in distribution.entry_points if point.group == group}


def test_declared_collectors_are_the_folders(config: configparser.ConfigParser) -> None:
    folders = {path.parent.name for path in (ROOT / "collectors").glob("*/__init__.py")}
    assert listed(config["options.entry_points"][GROUP]) == {
        name: f"collectors.{name}:COLLECTOR" for name in sorted(folders)
    }


@pytest.mark.parametrize("group", [GROUP, "console_scripts"])
def test_installed_entry_points_are_the_declared_ones(
    group: str, config: configparser.ConfigParser, installed: Distribution
) -> None:
    assert entry_points(installed, group) == listed(config["options.entry_points"][group]), "run make setup"


def test_installed_version_is_that_of_the_package(installed: Distribution) -> None:
    assert installed.version == exporter.__version__


def test_packages_come_from_this_repository() -> None:
    assert exporter.__file__ == str(ROOT / "exporter/__init__.py")


@pytest.mark.parametrize("package", ["exporter", "collectors"])
def test_every_folder_with_python_in_it_is_a_package(package: str) -> None:
    # find: leaves a folder without __init__.py out of the wheel, silently
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_other_files_lie_where_the_wheel_takes_them_from() -> None:
    files = [path for package in ("exporter", "collectors") for path in (ROOT / package).rglob("*") if path.is_file()]
    names = [path.relative_to(ROOT).as_posix() for path in files if path.suffix not in (".py", ".pyc", ".md")]
    assert [name for name in names if not re.match(r"exporter/web/(static|templates)/", name)] == []


def test_lock_pins_every_requirement_and_nothing_by_address(config: configparser.ConfigParser) -> None:
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[^\s@/]+", line)] == []
    pinned = {canonical(line.partition("==")[0]) for line in lines}
    wanted = config["options"]["install_requires"] + config["options.extras_require"]["dev"]
    named = [re.match(r"[A-Za-z0-9._-]+", line) for line in wanted.split("\n") if line and not line.startswith("#")]
    assert {canonical(name.group()) for name in named if name} <= pinned, "run make lock"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

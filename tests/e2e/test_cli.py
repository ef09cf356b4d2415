"""The command line as a user meets it: help, checks, lists, completion, import and export, and their exit codes."""

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter import registry
from tests.e2e.process import Service, at_once, command

Launch = Callable[..., Service]
COMMANDS = ("serve", "check", "collectors", "completion", "import", "import csv", "export", "export json")
TABLE = """id,bucket,priority,created_at,started_at,completed_at,status,sku_id
T-1,cost,high,1000,2000,3000,completed,sku-1
T-2,,,5000,,,,
"""
BAD = "id,created_at,status\nT-1,1000,\nT-2,soon,\nT-3,1000,odd\n,1000,\nT-5,2000,\n"
LOG = "case;what;when\nC-1;Open;2026-01-05 09:00:00\nC-1;Work;2026-01-05 10:00:00\nC-1;Done;2026-01-05 12:00:00\n"
OF_LOG = (
    "--item",
    "case",
    "--activity",
    "what",
    "--time",
    "when",
    "--map",
    "Work=in_progress",
    "--map",
    "Done=completed",
)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command in the test's own folder, where ./tcps.db is its database."""
    return lambda *arguments, **more: command(*arguments, folder=tmp_path, **more)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The only line on stderr of a command that gave up."""
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


# --- help --------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_shows_how_to_begin(run: Run) -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "tcps-exporter serve --demo" in done.stdout
    for name in {name.split()[0] for name in COMMANDS}:
        assert re.search(rf"^  {name} +[A-Z].*\.", done.stdout, re.MULTILINE), name


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What --help of each command prints."""
    folder = tmp_path_factory.mktemp("helps")
    done = at_once([partial(command, *name.split(), "--help", folder=folder) for name in COMMANDS])
    assert {one.returncode for one in done} == {0}
    return dict(zip(COMMANDS, [one.stdout for one in done], strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_of_it(name: str, helps: dict[str, str]) -> None:
    assert re.search(rf"^ +tcps-exporter {name}\b", helps[name], re.MULTILINE), helps[name]


def test_wrong_usage_is_exit_2_and_says_what_was_wrong(run: Run) -> None:
    wrong = ("nothing", "serve --nothing", "completion tcsh", "import csv none.csv", "")
    for words, done in zip(wrong, at_once([partial(run, *words.split()) for words in wrong]), strict=True):
        assert done.returncode == 2, words
        assert "Usage: tcps-exporter" in done.stderr
        assert ("Error: " in done.stderr) == bool(words)
        assert "Traceback" not in done.stderr


def test_the_version_is_told(run: Run) -> None:
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"tcps-exporter, version \d+\.\d+\.\d+\S*\n", done.stdout)


# --- check -------------------------------------------------------------------------------------------------------


def test_check_of_a_fresh_folder_is_ok_and_leaves_it_empty(run: Run, tmp_path: Path) -> None:
    """What Kubernetes injects for a service called tcps is no setting of ours."""
    linked = {
        "TCPS_PORT": "tcp://10.0.0.1:8080",
        "TCPS_SERVICE_HOST": "10.0.0.1",
        "TCPS_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    done = run("check", env=linked)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")
    assert list(tmp_path.iterdir()) == []


def test_check_tells_of_the_database_and_changes_nothing(run: Run, launch: Launch, tmp_path: Path) -> None:
    launch().stop()
    before = (tmp_path / "tcps.db").read_bytes()
    done = run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "tcps.db" in done.stdout
    assert "4 facts" in done.stdout
    assert (tmp_path / "tcps.db").read_bytes() == before


def test_check_names_every_fault_of_a_configuration_in_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'prt = 8080\nrefresh_interval = 5000\n[buckets.total_wip]\nlimit = 1\n[buckets.cost]\nlimit = "many"\n'
        '[windows]\nlead_time = "a month"\n',
        encoding="utf-8",
    )
    done = run("check", "--config", "bad.toml", env={"TCPS_REFRESH_INTERVALL": "5s", "TCPS_PORT": "99999"})
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert all(line.startswith("tcps-exporter: ") for line in lines)
    for words in (
        ("prt", "port"), ("refresh_interval", "5000ms", "5000s"), ("buckets.total_wip",),
        ("buckets.cost.limit", "many"),
        ("windows.lead_time", "a month"), ("TCPS_REFRESH_INTERVALL", "TCPS_REFRESH_INTERVAL"), ("port", "99999"),
    ):  # fmt: skip
        assert [line for line in lines if all(word in line for word in words)], (words, lines)
    assert len(lines) == 7
    assert run("serve", "--config", "bad.toml").returncode == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[buckets\n", ("TOML", "1")), ("a = 1\na = 2\n", ("TOML",)), ("\xff", ("UTF-8",)),
    ],
)  # fmt: skip
def test_check_of_what_is_no_toml_names_the_file(text: str, words: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(text.encode("latin-1"))
    one_line(run("check", "--config", "x.toml"), "x.toml", *words)


def test_check_names_what_is_wrong_with_a_damaged_database(run: Run, launch: Launch, tmp_path: Path) -> None:
    service = launch()
    for _ in range(200):
        service.create(description="x" * 1000)
    service.stop()
    content = bytearray((tmp_path / "tcps.db").read_bytes())
    content[40_000:120_000] = b"\xab" * 80_000
    (tmp_path / "tcps.db").write_bytes(content)
    done = run("check")
    assert done.returncode == 1
    assert done.stderr
    assert all(line.startswith("tcps-exporter: ") for line in done.stderr.splitlines())
    assert "restore a backup" in done.stderr
    assert "Traceback" not in done.stderr


# --- collectors, completion --------------------------------------------------------------------------------------


def test_collectors_lists_each_with_metrics_facts_and_commands(run: Run) -> None:
    done = run("collectors")
    assert (done.returncode, done.stderr) == (0, "")
    listed = set(done.stdout.split())
    for collector in registry.discover():
        assert re.search(rf"^{collector.name}  {re.escape(collector.summary)}$", done.stdout, re.MULTILINE)
        for parts in (collector.metrics, collector.facts, collector.commands, collector.doors):
            assert {part.name for part in parts} <= listed
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -"), ("zsh", "compdef"), ("fish", "complete --")])
def test_completion_gives_a_script_that_knows_the_commands(shell: str, word: str, run: Run) -> None:
    script = run("completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    assert word in script.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=False).returncode == 0
    env = {
        "_TCPS_EXPORTER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "tcps-exporter i",
        "COMP_CWORD": "1" if shell != "fish" else "i",
    }
    assert "import" in run(env=env).stdout


# --- import ------------------------------------------------------------------------------------------------------


def test_import_takes_a_table_into_the_database(run: Run, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    done = run("import", "csv", "table.csv")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("outcome accepted", "facts 2", "duplicates 0", "rejected_rows 0"):
        assert words in done.stdout
    again = run("import", "csv", "table.csv")
    assert again.returncode == 0
    assert "outcome duplicate" in again.stdout
    orders = {order["external_id"]: order for order in launch().get("/api/work-orders").json()["work_orders"]}
    told = orders["T-1"]
    assert (told["bucket"], told["priority"], told["status"], told["sku_id"]) == ("cost", 7, "completed", "sku-1")
    assert (told["created_at"], told["started_at"], told["completed_at"]) == (1000, 2000, 3000)
    assert orders["T-2"]["status"] == "queued"


@pytest.mark.parametrize("remote", [False, True], ids=["here", "gzipped by url"])
def test_an_event_log_is_imported_here_and_by_url(remote: bool, run: Run, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(gzip.compress(LOG.encode()) if remote else LOG.encode())
    service = launch() if remote else None
    where = ["--url", service.url] if service else []
    done = run("import", "csv", "log.csv", *OF_LOG, "--timezone", "Europe/Rome", "--bucket", "security", *where)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "facts 3" in done.stdout
    (order,) = (service or launch()).get("/api/work-orders").json()["work_orders"]
    assert (order["external_id"], order["bucket"], order["status"]) == ("C-1", "security", "completed")
    assert order["created_at"] == 1767600000000
    assert order["completed_at"] - order["started_at"] == 2 * 3_600_000


@pytest.mark.parametrize("remote", [False, True], ids=["here", "by url"])
def test_rejected_rows_are_told_by_line_and_field_and_a_dry_run_tells_the_same(
    remote: bool, run: Run, launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    service = launch() if remote else None
    where = ["--url", service.url] if service else []
    dry = run("import", "csv", "bad.csv", "--dry-run", *where)
    assert "dry run" in dry.stdout
    done = run("import", "csv", "bad.csv", *where)
    assert (done.returncode, done.stderr) == (dry.returncode, dry.stderr)
    assert done.returncode == 1
    told = re.findall(r"^line (\d+): (\w+): ", done.stderr, re.MULTILINE)
    assert told == [("3", "created_at"), ("4", "status"), ("5", "id")]
    assert "facts 2" in done.stdout
    assert "rejected_rows 3" in done.stdout
    service = service or launch()
    orders = service.get("/api/work-orders").json()["work_orders"]
    assert {order["external_id"] for order in orders} == {"T-1", "T-5"}
    assert len(service.facts(kind="intake.import_finished")) == 1


def test_a_wrong_option_is_one_line(run: Run, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG, encoding="utf-8")
    by_url = ("--url", launch().url)
    here = ("--database", "sqlite:///other.db")
    one_line(run("import", "csv", "log.csv", *OF_LOG[:2], "--activity", "nothing", *by_url), "activity", "'what'")
    one_line(run("import", "csv", "log.csv", *OF_LOG[:6], "--map", "Done", *here), "map", "completed")
    for where in (by_url, here):
        one_line(run("import", "csv", "log.csv", "--bucket", "odd", *OF_LOG, *where), "bucket", "reliability")


def test_a_running_service_is_named_with_the_way_to_talk_to_it(run: Run, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    service = launch()
    for arguments in (["import", "csv", "table.csv"], ["export", "json"], ["check"]):
        one_line(run(*arguments), "tcps.db", "in use", str(service.process.pid), "--url")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_a_service_that_does_not_answer_is_one_line(url: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    one_line(run("import", "csv", "table.csv", "--url", url), url)


def test_an_export_that_fails_leaves_the_last_report_as_it_was(run: Run, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("the last report", encoding="utf-8")
    one_line(run("export", "json", "-o", "report.json", "--url", "http://127.0.0.1:9"), "http://127.0.0.1:9")
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "the last report"


# --- export ------------------------------------------------------------------------------------------------------


def test_export_writes_the_report_that_rest_gives(run: Run, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    run("import", "csv", "table.csv")
    done = run("export", "json", "-o", "here.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    service = launch()
    assert run("export", "json", "-o", "there.json", "--url", service.url).returncode == 0
    here, there, rest = (json.loads(text) for text in (
        (tmp_path / "here.json").read_bytes(), (tmp_path / "there.json").read_bytes(),
        service.get("/api/export/json").content,
    ))  # fmt: skip
    assert without_times(here) == without_times(there) == without_times(rest)
    assert there["overview"]["total_work_orders"] == 2


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        moving = ("timestamp", "age_seconds", "elapsed_hours", "elapsed_seconds")
        return {name: without_times(each) for name, each in value.items() if name not in moving}
    return value


def test_an_output_that_can_not_be_written_is_one_line(run: Run, launch: Launch) -> None:
    service = launch()
    one_line(run("export", "json", "-o", "no/such/folder/x.json", "--url", service.url), "no/such/folder/x.json")


# --- serve -------------------------------------------------------------------------------------------------------


def test_flags_go_before_the_environment_and_that_before_the_file(launch: Launch, tmp_path: Path) -> None:
    config = tmp_path / "tcps.toml"
    config.write_text("[buckets.cost]\nlimit = 1\n[buckets.web]\nlimit = 2\n", encoding="utf-8")
    env = {"TCPS_BUCKETS__COST__LIMIT": "7", "TCPS_DATABASE": "sqlite:///environment.db", "TCPS_CONFIG": str(config)}
    service = launch("--database", "sqlite:///flag.db", env=env)
    kanban = service.refresh()["kanban"]
    assert (kanban["cost"]["limit"], kanban["web"]["limit"], "security" in kanban) == (7, 2, False)
    assert (tmp_path / "flag.db").exists()
    assert not (tmp_path / "environment.db").exists()


def test_the_log_is_one_json_line_for_each_fact_and_refusal(launch: Launch) -> None:
    service = launch()
    order = service.create(description="a\nb")
    service.act(order, "complete")
    service.stop()
    lines = [json.loads(line) for line in service.log().splitlines()]
    assert [line["event"] for line in lines[-2:]] == ["work_orders.created", "refused"]
    assert lines[-1].items() >= {"status": 409, "code": "invalid_state", "command": "work_orders.complete"}.items()


def test_a_limit_set_by_hand_holds_until_the_configured_one_changes(launch: Launch) -> None:
    for configured, expected in [("3", 3), ("3", 9), ("4", 4)]:
        service = launch(env={"TCPS_BUCKETS__COST__LIMIT": configured})
        assert service.refresh()["kanban"]["cost"]["limit"] == expected
        service.ask("PUT", "/api/kanban/cost", json={"limit": 9})
        service.stop()


def test_a_bucket_with_open_orders_may_not_leave_the_configuration(run: Run, launch: Launch, tmp_path: Path) -> None:
    env = {"TCPS_BUCKETS__WEB__LIMIT": "2"}
    service = launch(env=env)
    service.create(bucket="web")
    service.stop()
    one_line(run("serve", "--port", "0"), "web", "1 open work order")
    assert launch(env=env).get("/api/work-orders", bucket="web").json()["work_orders"]

"""What can't work says so in one line and what to do; what fails while running costs nobody else anything."""

import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.e2e.plugins import FAILING, install
from tests.e2e.process import Service, at_once, command, labelled, refused, wait_until

Launch = Callable[..., Service]


def serve_fails(folder: Path, *arguments: str, **more: Any) -> str:
    """The one line on stderr with which `serve` gives up."""
    done = command("serve", "--port", "0", *arguments, folder=folder, limit=10, **more)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert lines[0].startswith("tcps-exporter: ")
    assert done.stdout == "" or done.stdout.startswith("{")
    return lines[0]


# --- not starting ------------------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_the_flag_for_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = serve_fails(tmp_path, "--port", port)
    assert port in line
    assert "--port" in line
    assert not (tmp_path / "tcps.db").exists()


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    assert "--host" in serve_fails(tmp_path, "--host", "192.0.2.1")
    assert "--host" in serve_fails(tmp_path, "--host", "no.such.host.invalid")


def test_a_second_process_on_the_same_file_is_told_who_holds_it(launch: Launch, tmp_path: Path) -> None:
    service = launch()
    order = service.create()
    line = serve_fails(tmp_path)
    for word in ("tcps.db", str(service.process.pid), "--database", "--url"):
        assert word in line
    assert service.get(f"/api/work-orders/{order}").status_code == 200


def test_a_database_of_a_newer_version_is_left_alone(launch: Launch, tmp_path: Path) -> None:
    launch().stop()
    with closing(sqlite3.connect(tmp_path / "tcps.db")) as db:
        db.execute("INSERT INTO alembic_version VALUES ('host_9999')")
        db.commit()
    before = (tmp_path / "tcps.db").read_bytes()
    line = serve_fails(tmp_path)
    for word in ("newer version", "host_9999", "backup", "--database"):
        assert word in line
    assert (tmp_path / "tcps.db").read_bytes() == before


# Root may write anywhere: without this capability it may only where the permissions say so.
AS_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()


@pytest.mark.parametrize("what", ["tcps.db", "."])
def test_what_may_not_be_written_is_named(what: str, launch: Launch, tmp_path: Path) -> None:
    """At the start, and not with the first write that is lost."""
    launch().stop()
    (tmp_path / "tcps.db.lock").unlink()
    (tmp_path / what).chmod(0o444 if what == "tcps.db" else 0o555)
    line = serve_fails(tmp_path, wrapper=AS_USER)
    (tmp_path / what).chmod(0o755)
    assert "tcps.db" in line
    assert "writ" in line


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of fifty orders and the facts of them."""
    with Service(tmp_path_factory.mktemp("sound")) as service:
        for _ in range(50):
            service.create(description="x" * 2000)
    return service.database.read_bytes()


def test_a_damaged_database_is_named_and_left_alone(sound: bytes, tmp_path: Path) -> None:
    damages = {
        "another kind of file": b"hello, I am a text\n" * 500, "nothing": b"\0" * 8192,
        "cut short": sound[: len(sound) // 2],
        "pages lost": sound[:8192] + b"\xab" * (len(sound) - 8192),
    }  # fmt: skip
    folders = {name: tmp_path / name for name in damages}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "tcps.db").write_bytes(damages[name])
    lines = at_once([partial(serve_fails, folder) for folder in folders.values()])
    for (name, folder), line in zip(folders.items(), lines, strict=True):
        assert "tcps.db" in str(line), name
        assert "restore a backup" in str(line), name
        assert (folder / "tcps.db").read_bytes() == damages[name], name


def test_a_ledger_with_a_hole_is_named(sound: bytes, tmp_path: Path) -> None:
    (tmp_path / "tcps.db").write_bytes(sound)
    with closing(sqlite3.connect(tmp_path / "tcps.db")) as db:
        db.execute("DELETE FROM ledger WHERE seq = 6")
        db.execute("DELETE FROM checkpoint")
        db.commit()
    done = command("serve", "--port", "0", folder=tmp_path, limit=20)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tcps-exporter: ")]
    for word in ("fact 6", "damaged", "backup"):
        assert word in line


def test_a_plugin_that_does_not_load_stops_the_start_and_is_named(tmp_path: Path) -> None:
    """SyntaxError and its kin are told by their name; one that wants to exit is no different."""
    codes = {
        "import a_library_that_is_missing": "a_library_that_is_missing", "COLLECTOR = 1 / 0": "ZeroDivisionError",
        "pass": "COLLECTOR",
        "COLLECTOR = 'text'": "expected a Collector", "this is no Python": "SyntaxError",
        "raise SystemExit('gone')": "gone",
    }  # fmt: skip
    works = []
    for number, code in enumerate(codes):
        folder = tmp_path / str(number)
        works.append(partial(serve_fails, tmp_path, env=install(folder, "broken", code)))
    for (code, word), line in zip(codes.items(), at_once(works), strict=True):
        assert "the collector broken" in str(line), (code, line)
        assert word in str(line), (code, line)


def test_a_plugin_that_takes_a_name_twice_is_named(tmp_path: Path) -> None:
    code = FAILING.replace("tcps_failing_readings", "tcps_andon_events_open")
    line = serve_fails(tmp_path, env=install(tmp_path / "plugins", "failing", code))
    for word in ("tcps_andon_events_open", "failing", "andon"):
        assert word in line


@pytest.mark.parametrize(
    ("url", "word"),
    [("sqlite:///no/such/folder/x.db", "/x.db"), ("mysql://u:secret@h/db", "sqlite:///"), ("nonsense", "sqlite:///")],
)
def test_a_database_url_that_leads_nowhere_is_named_without_its_password(url: str, word: str, tmp_path: Path) -> None:
    line = serve_fails(tmp_path, "--database", url)
    assert word in line
    assert "secret" not in line


# --- while running -----------------------------------------------------------------------------------------------


def test_a_collector_that_fails_costs_only_itself(launch: Launch, tmp_path: Path) -> None:
    env = install(tmp_path / "plugins", "failing", FAILING) | {"TCPS_CACHE_TTL": "3s", "TCPS_REFRESH_INTERVAL": "500ms"}
    service = launch(env=env)
    service.create()
    document = service.refresh()["failing"]
    assert (document["readings"], document["stale"]) == (1, True)
    samples = service.samples()
    success = labelled(samples, "tcps_collector_success")
    assert {name for name, value in success.items() if value == 0} == {"failing"}
    assert len(success) > 5
    assert samples["tcps_failing_readings"] == 1
    assert service.refresh()["overview"]["total_work_orders"] == samples["tcps_work_orders_total"] == 1
    health = service.get("/api/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "the second reading fails" in health.json()["services"]["failing"]["reason"]
    wait_until(lambda: "the second reading fails" in service.log(), "a line in the log", 5)
    wait_until(lambda: service.get("/api/metrics/failing").status_code == 404, "the end of cache_ttl", 8)
    refused(service.get("/api/metrics/failing"), 404, "collector_failed")
    everything = service.refresh()
    assert everything["failing"] is None
    assert everything["kanban"]["stale"] is False
    assert "tcps_failing_readings" not in service.samples()


def test_a_plugin_that_works_is_shown_beside_the_others(launch: Launch, tmp_path: Path) -> None:
    code = FAILING.replace("self._readings > 1", "False")
    service = launch(env=install(tmp_path / "plugins", "failing", code))
    before = service.refresh()["failing"]["readings"]
    assert service.refresh()["failing"]["readings"] == before + 1
    assert service.get("/api/health").json()["status"] == "ok"


@pytest.mark.parametrize("reader", ["gone", "asleep"])
def test_a_log_that_nobody_reads_holds_up_nobody(reader: str, tmp_path: Path) -> None:
    """As behind `| head -1`, or a pipe whose other end hangs: 64 KiB fit into it."""
    end, log = os.pipe()
    with Service(tmp_path, stdout=log) as service:
        os.close(log)
        if reader == "gone":
            os.close(end)
        for _ in range(100):
            service.create(description="x" * 2000, sku_id="s" * 200)
        lost = service.samples()['tcps_sink_failures_total{sink="stdout"}']
        assert (lost > 0) == (reader == "gone")
        assert service.refresh()["overview"]["total_work_orders"] == 100
        service.stop(5)
    if reader == "asleep":
        os.close(end)


FULL = 'mkdir -p disk && mount -t tmpfs -o size={size} none disk && exec "$@"'


def test_a_full_disk_is_503_and_what_was_refused_does_not_exist_afterwards(tmp_path: Path) -> None:
    """The service sees a disk of 3 MiB that nobody else sees: a mount in a namespace of its own."""
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("no mounts of one's own here")
    wrapper = ("unshare", "--map-root-user", "--mount", "sh", "-c", FULL.format(size="3m"), "sh")
    with Service(tmp_path, "--database", "sqlite:///disk/tcps.db", wrapper=wrapper) as service:
        filler = Path(f"/proc/{service.process.pid}/root{tmp_path}/disk/filler")
        with filler.open("wb") as file:
            while file_grows(file):
                pass
        acknowledged, answer = fill(service)
        error = refused(answer, 503, "store_unavailable")
        assert "full" in error["message"]
        assert "space" in error["message"]
        assert int(answer.headers["Retry-After"]) >= 1
        assert service.get("/api/health").json()["services"]["store"]["status"] != "ok"
        assert service.get("/api/health").status_code == 503
        assert service.get("/api/work-orders").status_code == 200
        assert service.get("/metrics").status_code == 200
        assert external_ids(service) == acknowledged
        filler.unlink()
        service.create(external_id="T-after")
        assert external_ids(service) == [*acknowledged, "T-after"]
        assert service.get("/api/health").json()["status"] == "ok"
        facts = service.facts()
        assert [fact["seq"] for fact in facts] == list(range(1, len(facts) + 1))
        assert service.refresh()["overview"]["total_work_orders"] == len(acknowledged) + 1


def fill(service: Service) -> tuple[list[str], Any]:
    """Orders as long as they are acknowledged: their external ids, and the first other answer."""
    acknowledged: list[str] = []
    for number in range(500):
        answer = service.post("/api/work-orders", description="x" * 2000, external_id=f"T-{number}")
        if answer.status_code != 201:
            return acknowledged, answer
        acknowledged.append(f"T-{number}")
    raise AssertionError("the disk is never full")


def file_grows(file: BinaryIO) -> bool:
    try:
        os.write(file.fileno(), b"\0" * 4096)
    except OSError:
        return False
    return True


def external_ids(service: Service) -> list[str]:
    orders = service.get("/api/work-orders", limit=500).json()["work_orders"]
    return [order["external_id"] for order in orders][::-1]

"""Places that can't be written: refused at the start, unavailable later, healed by themselves."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import pytest

from exporter.errors import StartupError, Unavailable
from exporter.store import Store
from tests.exporter.notes import Commits, begun, kept, note, sql, together, url
from tests.line import Line

NOBODY = 65534
MAY_MOUNT = 21  # CAP_SYS_ADMIN


# --- places that can't be written --------------------------------------------------------------------------------


def test_what_is_no_file_of_sqlite_is_refused_by_its_name_and_let_go(tmp_path: Path) -> None:
    file = tmp_path / "line.db"
    file.write_text("Dear diary, " * 200)
    for _ in range(2):
        with pytest.raises(StartupError, match=rf"^can't open the database {file}: .*; {file} is damaged or another"):
            Store(url(tmp_path), 10)
    file.unlink()
    begun(Store(url(tmp_path), 10)).close()


@pytest.mark.parametrize(
    ("given", "shown"),
    [("postgresql://me:secret@db.example/line", "postgresql://db.example"), ("line.db", "line.db://"), ("", "://")],
)
def test_another_database_is_refused_without_its_secrets(given: str, shown: str) -> None:
    with pytest.raises(StartupError, match=rf"^database: expected sqlite:///FILE, got {shown};") as refused:
        Store(given, 10)
    assert "secret" not in str(refused.value)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=rf"^can't create {tmp_path}/gone/line.db.lock: No such file or directory;"):
        Store(url(tmp_path / "gone"), 10)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere; for a while it is somebody else."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "message"),
    [
        (0o555, 0o666, "can't create .*line.db.lock: Permission denied; name a writable place with --database"),
        (0o777, 0o444, "can't open the database .*readonly.*; check that .*line.db and its folder exist and may be"),
        (0o777, 0o000, "can't open the database .*unable to open.*; check that .*line.db and its folder exist and may"),
    ],
)
def test_a_place_that_may_not_be_written_is_named(folder_mode: int, file_mode: int, message: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        begun(Store(url(folder), 10)).close()
        (folder / "line.db.lock").unlink()
        (folder / "line.db").chmod(file_mode)
        folder.chmod(folder_mode)
        try:
            with unprivileged(), pytest.raises(StartupError, match=message):
                Store(url(folder), 10)
        finally:
            folder.chmod(0o777)


# --- full disks --------------------------------------------------------------------------------------------------


def may_mount() -> bool:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    granted = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff")), 0)
    return os.geteuid() == 0 and bool(granted >> MAY_MOUNT & 1)


class Disk:
    """A folder whose space can be taken away and given back, here by filling a small file system."""

    def __init__(self, folder: Path):
        self.folder = folder

    def fill(self, store: Store) -> None:
        with suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self, store: Store) -> None:
        (self.folder / "ballast").unlink()


class Pages(Disk):
    """Where nothing may be mounted: SQLite itself is told that the disk ends here."""

    def fill(self, store: Store) -> None:
        store.write(sql("PRAGMA max_page_count = 1"))  # SQLite takes as many as there are

    def free(self, store: Store) -> None:
        store.write(sql("PRAGMA max_page_count = 1000000"))


@pytest.fixture(params=["file system", "pages"] if may_mount() else ["pages"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "pages":
        yield Pages(tmp_path)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=True)
    yield Disk(tmp_path)
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_what_does_not_fit_on_the_disk_does_not_exist_afterwards(disk: Disk) -> None:
    commits = Commits()
    store = begun(Store(url(disk.folder), 100, commits))
    store.write(note(1))
    disk.fill(store)
    refused = together(store, [note(2, "x" * 200_000), note(3), note(4)])
    assert [(type(one), one.status, one.code) for one in refused] == [(Unavailable, 503, "store_unavailable")] * 3
    assert {str(one) for one in refused} == {
        f"the database can't be used: database or disk is full; free some space on the disk that holds {store.path}"
    }
    assert (kept(store), commits.dropped) == ([1], 1)
    faults = [bool(store.fault)]
    disk.free(store)
    assert store.write(note(5, "x" * 200_000)) == [(5,)]
    faults.append(bool(store.fault))
    assert (kept(store), faults) == ([1, 5], [True, False])
    store.close()
    again = Store(url(disk.folder), 100)
    assert again.write(sql("PRAGMA integrity_check")) == [("ok",)]
    again.close()


@pytest.fixture
def small_line(disk: Disk) -> Iterator[Line]:
    line = Line(disk.folder, refresh_interval="100ms")
    yield line
    line.close()


def test_a_command_that_does_not_fit_leaves_neither_rows_nor_facts(disk: Disk, small_line: Line) -> None:
    line, metadata = small_line, {"log": "x" * 300_000}
    head = line.service.ledger.head
    disk.fill(line.service.store)
    for _ in range(2):
        with pytest.raises(Unavailable, match="free some space"):
            line.call("work_orders.create", description="too much", metadata=metadata)
    assert line.service.ledger.head == head
    assert line.document("overview")["total_work_orders"] == 0
    disk.free(line.service.store)
    assert line.call("work_orders.create", description="fits", metadata=metadata)["id"] == "WO-1"
    assert line.service.ledger.head == head + 1
    assert line.document("overview")["total_work_orders"] == 1


def test_a_disk_with_room_again_is_noticed_though_nobody_writes(disk: Disk, small_line: Line) -> None:
    """Health is 503 while there is a fault, so whoever asks it before sending work would never send any."""
    line = small_line
    line.service.start()
    disk.fill(line.service.store)
    with pytest.raises(Unavailable, match="free some space"):
        line.call("work_orders.create", description="too much", metadata={"log": "x" * 300_000})
    faults = [bool(line.service.store.fault)]
    disk.free(line.service.store)
    with gevent.Timeout(5, False):  # type: ignore[arg-type]
        while line.service.store.fault:
            gevent.sleep(0.1)
    faults.append(bool(line.service.store.fault))
    assert faults == [True, False]

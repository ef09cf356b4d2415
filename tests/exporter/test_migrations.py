"""The database that the migrations make is the one that the tables describe."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from exporter import ledger, migrations, registry
from exporter.errors import StartupError
from tests.exporter.notes import python
from tests.line import Line

FOLDERS = migrations.folders(registry.discover().packages)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that a line has made and left."""
    Line(tmp_path).close()
    return tmp_path / "line.db"


@pytest.fixture
def database(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


def described() -> sa.MetaData:
    """The tables of the host and of all collectors."""
    whole = sa.MetaData()
    for metadata in (ledger.TABLES, *(c.tables for c in registry.discover() if c.tables)):
        for table in metadata.sorted_tables:
            table.to_metadata(whole)
    return whole


def test_the_migrations_make_what_the_tables_describe(file: Path) -> None:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(file)), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, described()) == []


def test_the_migrations_keep_what_the_comparison_cannot_see(file: Path, database: sqlite3.Connection) -> None:
    """Primary keys in their order, WITHOUT ROWID, and columns that may be null."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        described().create_all(connection)
        want = shape(connection.connection.driver_connection)  # type: ignore[arg-type]
    assert shape(database) == want
    engine.dispose()


def shape(connection: sqlite3.Connection) -> dict[str, object]:
    tables = connection.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    return {
        name: (
            wr,
            sorted(connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (name,))),
            sorted(connection.execute('SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (name,))),
        )
        for name, wr in tables
        if not name.startswith(("sqlite_", "alembic_"))
    }


def test_each_branch_belongs_to_one_package_and_names_its_files() -> None:
    owners: dict[str, Path] = {}
    for folder in FOLDERS:
        for revision in sorted(path.stem for path in folder.glob("*_[0-9]*.py")):
            assert f'revision = "{revision}"' in (folder / f"{revision}.py").read_text()
            assert owners.setdefault(revision.rpartition("_")[0], folder) == folder
    assert len(owners) == len(FOLDERS)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO alembic_version VALUES ('host_9999')",
        "UPDATE alembic_version SET version_num = 'host_9999' WHERE version_num LIKE 'host%'",
        "INSERT INTO alembic_version VALUES ('gone_0001')",
    ],
)
def test_a_database_of_another_version_is_refused_in_one_line(
    file: Path, database: sqlite3.Connection, change: str
) -> None:
    database.execute(change)
    before = database.execute("SELECT * FROM alembic_version ORDER BY 1").fetchall()
    with python(OPEN, str(file.parent)) as process:
        said, _ = process.communicate()
    (line,) = said.splitlines()
    assert line.startswith("StartupError: the database is of a newer version, or of a collector that is not")
    assert ("host_9999" in line) != ("gone_0001" in line)
    assert line.endswith("); install that version, restore a backup, or name another --database")
    assert database.execute("SELECT * FROM alembic_version ORDER BY 1").fetchall() == before


OPEN = """
import sys
from pathlib import Path
from exporter.errors import StartupError
from tests.line import Line
try:
    line = Line(Path(sys.argv[1]))
    print("alembic" in sys.modules, line.service.ledger.head)
    line.close()
except StartupError as error:
    print("StartupError:", error)
"""


def test_only_a_database_that_is_new_or_older_takes_the_time_to_migrate(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        with python(OPEN, str(tmp_path)) as process:
            said.append(process.communicate()[0].split())
    assert [migrated for migrated, _ in said] == ["True", "False"]
    assert said[0][1] == said[1][1] > "0"


def test_a_branch_that_is_missing_is_applied(file: Path, database: sqlite3.Connection) -> None:
    """As when a collector is installed later."""
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE tbl_name LIKE 'andon%'").fetchall():
        database.execute(f"DROP TABLE IF EXISTS {name}")
    database.execute("DELETE FROM alembic_version WHERE version_num LIKE 'andon%'")
    line = Line(file.parent)
    assert line.call("andon.raise", failure_type="test_failure", sku_id="a")["id"] == "AND-1"
    line.close()
    assert migrated(database) == {f"{name}_0001" for name in ("host", "andon", "kanban", "work_orders")}


def migrated(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT version_num FROM alembic_version")}


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "line.db", isolation_level=None)
    connection.execute("CREATE TABLE work_order (mine TEXT)")
    with pytest.raises(StartupError, match=r"line\.db.*work_order"):
        Line(tmp_path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("work_order",)]
    connection.close()


@pytest.mark.parametrize("name", ["with space", "100%", "a#b", "a?b", "Straße", "a&b=c"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    line = Line(folder)
    line.call("work_orders.create", description="x")
    line.close()
    assert {path.name for path in folder.iterdir()} <= {"line.db", "line.db-wal", "line.db-shm", "line.db.lock"}
    assert [path.name for path in tmp_path.iterdir()] == [name]

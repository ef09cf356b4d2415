"""Brings a database to the revision of this version. Each folder of revisions is one branch, owned by one package.

A revision's id is the name of its file, so what is known can be read without importing Alembic, which is slow.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa

from exporter.errors import StartupError
from exporter.statements import Rows, Statement

HOST = Path(__file__).parent / "revisions"
_version = sa.table("alembic_version", sa.column("version_num", sa.Text))
APPLIED = Statement(sa.select(_version.c.version_num))
_master = sa.table("sqlite_master", sa.column("name", sa.Text))
EXISTS = Statement(sa.select(_master.c.name).where(_master.c.name == "alembic_version"))


def folders(collectors: Sequence[str]) -> list[Path]:
    """The host's folder, and that of each collector (named by its package) that has one."""
    packages = [Path(str(import_module(name).__file__)).parent / "migrations" for name in collectors]
    return [HOST, *(folder for folder in packages if folder.is_dir())]


def pending(rows: Rows, where: Sequence[Path]) -> bool:
    """Whether there is something to do. Raises: StartupError for revisions that this version does not know."""
    revisions = [_revisions(folder) for folder in where]
    applied = {row.version_num for row in rows.all(APPLIED)} if rows.one(EXISTS) else set()
    unknown = applied - {name for folder in revisions for name in folder}
    if unknown:
        message = f"the database is of a newer version, or of a collector that is not installed ({', '.join(unknown)})"
        raise StartupError(f"{message}; install that version, restore a backup, or name another --database")
    return applied != {folder[-1] for folder in revisions}


def migrate(path: str, where: Sequence[Path]) -> None:
    """Applies what is missing to a SQLite file, all or nothing. Raises: StartupError."""
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(HOST), version_locations=[str(folder) for folder in where])
    engine = sa.create_engine(sa.URL.create("sqlite", database=path), poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def explicit(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def upgrade(revision: object, _: object) -> object:
        return script._upgrade_revs("heads", revision)  # type: ignore[arg-type]

    from alembic.config import Config

    try:
        with EnvironmentContext(Config(), script, fn=upgrade) as environment, engine.begin() as connection:
            environment.configure(connection=connection, transaction_per_migration=False)
            environment.run_migrations()
    except sa.exc.DBAPIError as error:
        message = f"{path} can't be migrated: {error.orig}; it is as it was"
        raise StartupError(f"{message}; name another --database, or restore a backup") from error


def _revisions(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")

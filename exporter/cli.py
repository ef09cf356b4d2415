"""The command tcps-exporter: each subcommand a thin function over the service, in this process or by its URL."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from click.shell_completion import get_completion_class

from exporter import __version__, registry
from exporter.errors import Refusal, StartupError
from exporter.host_settings import HOST, configured
from exporter.parsing import convert
from exporter.remote import Remote
from exporter.service import Service
from exporter.settings import Setting, Settings
from exporter.store import path_of

EXAMPLES = """
\b
Examples:
  tcps-exporter serve --demo
  tcps-exporter serve --config tcps.toml --host 0.0.0.0
  tcps-exporter check --config tcps.toml
  tcps-exporter import csv tickets.csv --url http://127.0.0.1:8080
  tcps-exporter export json -o report.json --url http://127.0.0.1:8080
"""


def main() -> None:
    """Exit codes: 0 done, 1 failed or partly rejected, 2 wrong usage."""
    try:
        command = _root(registry.discover())
        command(prog_name="tcps-exporter")
    except StartupError as error:
        fail(str(error))


def fail(message: str) -> None:
    """Each fault in a line of its own; exit 1."""
    for line in message.splitlines():
        click.echo(f"tcps-exporter: {line}", err=True)
    sys.exit(1)


def _root(plugins: registry.Registry) -> click.Group:
    rows = [*HOST, *plugins.settings]
    root = click.Group(
        help=f"Watches a software line that is run by Toyota's rules and turns its facts into metrics.\n{EXAMPLES}",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    click.version_option(__version__, prog_name="tcps-exporter")(root)
    for command in (_serve(plugins, rows), _check(plugins), _collectors(plugins), _completion()):
        root.add_command(command)
    root.add_command(_import(plugins))
    root.add_command(_export(plugins))
    return root


def _config(command: Callable[..., Any]) -> Callable[..., Any]:
    path = click.Path(path_type=Path)
    return click.option("--config", type=path, envvar="TCPS_CONFIG", help="A TOML file of settings.")(command)


def _example(line: str) -> str:
    """The end of a command's help; \b keeps click from joining its lines."""
    return f"\n\n\b\nExample:\n  tcps-exporter {line}"


def _serve(plugins: registry.Registry, rows: list[Setting]) -> click.Command:
    flagged = [row for row in rows if row.flag]

    @click.command(help=f"Runs the service. Ctrl-C or SIGTERM ends it cleanly.{_example('serve --demo')}")
    @_config
    def serve(config: Path | None, **given: Any) -> None:
        from exporter.serve import serve as run

        flags = {row.key: given[_parameter(row)] for row in flagged}
        with _scratch(plugins, config, flags) as settings:
            run(settings, plugins, _announce)

    for row in flagged:
        kind: dict[str, Any] = {"is_flag": True, "default": None} if row.kind == "bool" else {"type": str}
        click.option(str(row.flag), _parameter(row), help=row.help, **kind)(serve)
    return serve


def _parameter(row: Setting) -> str:
    return row.key.replace(".", "_")


@contextmanager
def _scratch(plugins: registry.Registry, config: Path | None, flags: dict[str, Any]) -> Iterator[Settings]:
    """The settings; where one asks for a throw-away database and none is named, in a folder that is removed after."""
    settings = configured(plugins.settings, config, flags=flags)
    throwaway = any(row.throwaway and settings[row.key] for row in plugins.settings)
    if not throwaway or settings.source("database") != "default":
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="tcps-") as folder:
        yield configured(plugins.settings, config, flags=flags | {"database": f"sqlite:///{folder}/demo.db"})


def _announce(address: str) -> None:
    lines = [f"tcps-exporter {__version__} answers at"]
    paths = {"the line now": "/", "all numbers": "/api/metrics/all", "Prometheus": "/metrics", "the API": "/api/docs"}
    lines += [f"  {name + ':':<14}{address}{path}" for name, path in paths.items()]
    click.echo("\n".join(lines), err=True)


def _check(plugins: registry.Registry) -> click.Command:
    @click.command(help=f"Validates configuration, database and plugins.{_example('check --config tcps.toml')}")
    @click.option("--database", help="Another database than the configured one.")
    @_config
    def check(config: Path | None, database: str | None) -> None:
        settings = configured(plugins.settings, config, flags={"database": database})
        path = Path(path_of(settings["database"]))
        if not path.exists():
            if not os.access(path.parent, os.W_OK):
                fail(f"can't create {path}: its folder is missing or may not be written; name another --database")
            click.echo(f"ok: {len(plugins.collectors)} collectors; serve will begin {path}")
            return
        service = Service(settings, plugins)
        try:
            faults = service.examine()
        finally:
            service.stop()
        if faults:
            fail("\n".join(faults))
        click.echo(f"ok: {len(plugins.collectors)} collectors, {service.store.path}, {service.ledger.head} facts")

    return check


def _collectors(plugins: registry.Registry) -> click.Command:
    @click.command(help=f"Lists the plugins with their metrics, facts and commands.{_example('collectors')}")
    def collectors() -> None:
        for collector in plugins:
            click.echo(click.style(collector.name, bold=True) + f"  {collector.summary}")
            names = {
                "metrics": [metric.name for metric in collector.metrics],
                "facts": [fact.name for fact in collector.facts],
                "commands": [command.name for command in collector.commands],
                "document": [f"/api/metrics/{collector.name}"] if collector.document else [],
                "doors": [door.name for door in collector.doors],
            }
            for kind, found in names.items():
                for index, name in enumerate(found):
                    click.echo(f"  {kind if index == 0 else '':<9} {name}")

    return collectors


def _import(plugins: registry.Registry) -> click.Group:
    example = _example("import csv tickets.csv --url http://127.0.0.1:8080")
    group = click.Group("import", help=f"Takes a file in: the same doors as REST, with a progress bar.{example}")
    for door in plugins.doors.values():
        group.add_command(_door(plugins, door))
    return group


def _door(plugins: registry.Registry, door: Any) -> click.Command:
    fields = msgspec.structs.fields(door.options)

    @click.command(door.name, help=f"{door.summary}{_example(door.example)}")
    @click.argument("file", type=click.File("rb"))
    @click.option("--url", help="A running service; without it the database is opened here.")
    @click.option("--database", help="Another database than the configured one.")
    @_config
    def take(file: BinaryIO, url: str | None, database: str | None, config: Path | None, **given: Any) -> None:
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        options = {name: value for name, value in values.items() if value not in (None, [], False)}
        with _progress(file, passes=1 if url else 2) as counted:
            if url:
                result = Remote(url).take(door.name, options, counted)
            else:
                result = _take_here(plugins, config, database, door, options, counted)
        _report(result)

    for field in reversed(fields):
        _option(field)(take)
    return take


def _option(field: Any) -> Callable[[Any], Any]:
    described = msgspec.inspect.type_info(field.type)
    help_text = (getattr(described, "extra_json_schema", None) or {}).get("description", "")
    inner = getattr(described, "type", described)
    flag = f"--{field.name.replace('_', '-')}"
    if isinstance(inner, msgspec.inspect.BoolType):
        return click.option(flag, field.name, is_flag=True, default=None, help=help_text)
    return click.option(flag, field.name, multiple=isinstance(inner, msgspec.inspect.ListType), help=help_text)


def _take_here(
    plugins: registry.Registry, config: Path | None, database: str | None, door: Any, options: dict[str, Any],
    file: BinaryIO,
) -> dict[str, Any]:  # fmt: skip
    service = Service(configured(plugins.settings, config, flags={"database": database}), plugins)
    try:
        service.open()
        done = door.run(service, file, convert(options, door.options), f"import:{door.name}")
        return msgspec.to_builtins(done)  # type: ignore[no-any-return]
    except Refusal as refusal:
        raise StartupError(refusal.message) from refusal
    finally:
        service.stop()


class _Counted:
    """A file that moves a progress bar as it is read."""

    def __init__(self, file: BinaryIO, moved: Callable[[int], None]):
        self._file, self._moved = file, moved
        self.seekable, self.seek = file.seekable, file.seek

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._moved(len(data))
        return data


@contextmanager
def _progress(file: BinaryIO, passes: int) -> Iterator[Any]:
    """The file, and on a terminal a bar of how much of it is read; a door reads it twice, first to see that it can."""
    size = passes * os.fstat(file.fileno()).st_size
    with click.progressbar(length=size, label="reading", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield _Counted(file, bar.update)


def _report(result: dict[str, Any]) -> None:
    """What came of an import; exit 1 where a row was rejected."""
    rejected = result.pop("rejected", [])
    click.echo("  ".join(f"{name} {value}" for name, value in result.items() if value not in ("", None)))
    for row in rejected:
        click.echo(f"line {row['line']}: {row['field']}: {row['message']}", err=True)
    if result.get("rejected_rows"):
        sys.exit(1)


def _export(plugins: registry.Registry) -> click.Group:
    group = click.Group("export", help=f"Writes the report that REST gives.{_example('export json -o report.json')}")

    @group.command("json", help=f"Every document as JSON.{_example('export json -o report.json')}")
    @click.option(
        "-o", "--output", type=click.Path(dir_okay=False), default="-", help="A file; stdout if none is given."
    )
    @click.option("--url", help="A running service; without it the database is opened here.")
    @click.option("--database", help="Another database than the configured one.")
    @_config
    def as_json(output: str, url: str | None, database: str | None, config: Path | None) -> None:
        report = Remote(url).get("/api/export/json") if url else _report_here(plugins, config, database)
        try:
            with click.open_file(output, "wb") as file:
                file.write(report)
        except OSError as error:
            raise StartupError(f"can't write {output}: {error.strerror}") from error

    return group


def _report_here(plugins: registry.Registry, config: Path | None, database: str | None) -> bytes:
    service = Service(configured(plugins.settings, config, flags={"database": database}), plugins)
    try:
        service.open()
        service.catch_up()
        return service.snapshots.current.all_at(service.now())
    finally:
        service.stop()


def _completion() -> click.Command:
    example = _example("completion bash > /etc/bash_completion.d/tcps-exporter")

    @click.command(help=f"Prints the script that completes this command in a shell.{example}")
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        kind = get_completion_class(shell)
        root = context.find_root()
        assert kind, "click knows these shells"
        click.echo(kind(root.command, {}, "tcps-exporter", "_TCPS_EXPORTER_COMPLETE").source())

    return completion

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.host_settings import HOST, NAMES
from exporter.settings import Setting, Settings, SettingsError, describe, load

ROWS = (
    *HOST,
    *(Setting(f"windows.{name}", "duration", 86_400_000 * days, "How far back it looks.", above=0)
      for name, days in (("throughput", 1), ("lead_time", 30), ("andon", 30), ("waste", 30))),
    Setting("enable_auth", "bool", False, "Asks for tokens.", throwaway=True),
    Setting("cors_origins", "list", [], "Origins that may call."),
    Setting("ratio", "float", 0.5, "A share|part.", minimum=0, maximum=1),
    Setting("pause", "duration", 2_500, "A moment.", flag="--pause"),
    Setting("words", "map", None, "A table."),
    Setting("jwt.key", "text", None, "A secret.", secret=True),
    Setting("severities.*", "text", "info", "Severity of a type of failure.", ("info", "critical")),
    Setting("stopping", "list", ["critical"], "Severities that stop.", ("info", "critical")),
)
DEFAULTS: dict[str, dict[str, Any]] = {**NAMES, "severities": {"leak": "critical", "noise": "info"}}
DAY = 86_400_000


def read(
    folder: Path | None = None, toml: str = "", environ: Mapping[str, str] = {}, flags: Mapping[str, Any] = {}
) -> Settings:
    file = folder / "tcps.toml" if folder else None
    if file:
        file.write_text(toml)
    return load(ROWS, file=file, environ=environ, flags=flags, names=DEFAULTS)


def faults(folder: Path | None = None, toml: str = "", environ: Mapping[str, str] = {}) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(folder, toml, environ)
    assert str(raised.value).splitlines() == raised.value.faults
    return raised.value.faults


def test_defaults_are_the_contract() -> None:
    settings = load(HOST, environ={}, names=NAMES)
    assert {key: settings[key] for key in settings if not key.startswith(("buckets", "stage", "windows"))} == {
        "host": "127.0.0.1", "port": 8080, "public_url": None, "database": "sqlite:///tcps.db", "log_format": "auto",
        "refresh_interval": 5_000, "cache_ttl": 60_000, "max_body": 1_048_576, "max_ingest": 33_554_432,
        "write_queue": 10_000,
    }
    hours = {"reliability": 168.0, "security": 24.0, "cost": 720.0, "compliance": 168.0}
    buckets = [(name, {"limit": 5, "sla_hours": of_bucket}) for name, of_bucket in hours.items()]
    assert list(settings.table("buckets").items()) == buckets
    assert settings["stages"][::7] == ("shacl_validation", "smoke_test")
    assert len(settings["stages"]) == 8
    assert len(settings["stage_aliases"]) == 5
    assert set(settings["stage_aliases"].values()) < set(settings["stages"])
    assert {settings.source(key) for key in settings} == {"default"}


@pytest.mark.parametrize(
    ("toml", "environ", "flag", "port", "source"),
    [
        ("", {}, None, 8080, "default"),
        ("port = 1", {}, None, 1, "file tcps.toml"),
        ("\ufeffport = 1", {}, None, 1, "file tcps.toml"),
        ("port = 1", {"TCPS_PORT": "2"}, None, 2, "environment TCPS_PORT"),
        ("port = 1", {"TCPS_PORT": "2"}, 3, 3, "flag --port"),
        ("", {}, "3", 3, "flag --port"),
        ("", {}, 0, 0, "flag --port"),
    ],
)
def test_flags_go_before_environment_before_file(
    tmp_path: Path, toml: str, environ: dict[str, str], flag: Any, port: int, source: str
) -> None:
    settings = read(tmp_path, toml, environ, {"port": flag})
    assert (settings["port"], settings.source("port")) == (port, source)


@pytest.mark.parametrize(
    ("key", "toml", "value"),
    [
        ("cache_ttl", '"500ms"', 500),
        ("cache_ttl", '"1.5h"', 5_400_000),
        ("cache_ttl", '"15m"', 900_000),
        ("cache_ttl", '"30d"', 30 * DAY),
        ("cache_ttl", '"1w"', 7 * DAY),
        ("cache_ttl", '"90"', 90_000),
        ("cache_ttl", "90", 90_000),
        ("cache_ttl", "0.25", 250),
        ("cache_ttl", "5000", 5_000_000),
        ("refresh_interval", "999", 999_000),
        ("refresh_interval", '"1000ms"', 1_000),
        ("max_body", '"1 MiB"', 1 << 20),
        ("max_body", '"32MiB"', 32 << 20),
        ("max_body", '"512 KiB"', 512 << 10),
        ("max_body", "1000", 1000),
        ("enable_auth", "true", True),
        ("cors_origins", '["a", "b"]', ("a", "b")),
        ("ratio", "1", 1.0),
        ("buckets.security.limit", '"unlimited"', None),
        ("buckets.security.sla_hours", '"None"', None),
        ("public_url", '"none"', "none"),
        ("stage_aliases", '{lint = "shacl_validation"}', {"lint": "shacl_validation"}),
        ("stage_aliases", "{}", {}),
        ("windows.andon", '"7d"', 7 * DAY),
    ],
)
def test_value_in_the_file(tmp_path: Path, key: str, toml: str, value: Any) -> None:
    settings = read(tmp_path, f"{key} = {toml}")
    assert settings[key] == value
    assert type(settings[key]) is type(value) or isinstance(settings[key], Mapping)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("TCPS_WINDOWS__LEAD_TIME", "7d", "windows.lead_time", 7 * DAY),
        ("TCPS_Windows__lead_time", "60", "windows.lead_time", 60_000),
        ("TCPS_BUCKETS__SECURITY__LIMIT", "3", "buckets.security.limit", 3),
        ("TCPS_BUCKETS__SECURITY__LIMIT", "none", "buckets.security.limit", None),
        ("TCPS_BUCKETS__DESIGN__LIMIT", "3", "buckets.design.limit", 3),
        ("TCPS_SEVERITIES__LEAK", "info", "severities.leak", "info"),
        ("TCPS_CORS_ORIGINS", "a, b,", "cors_origins", ("a", "b")),
        ("TCPS_CORS_ORIGINS", "", "cors_origins", ()),
        ("TCPS_RATIO", "0.25", "ratio", 0.25),
        ("TCPS_JWT__KEY", "sesame", "jwt.key", "sesame"),
        *(("TCPS_ENABLE_AUTH", text, "enable_auth", text in "true 1 YES on") for text in
          ("true", "1", "YES", "on", "False", "0", "no", "off")),
    ],
)
def test_value_in_the_environment(variable: str, text: str, key: str, value: Any) -> None:
    settings = read(environ={variable: text})
    assert (settings[key], settings.source(key)) == (value, f"environment {variable}")


def test_environment_sets_single_entries_of_a_map(tmp_path: Path) -> None:
    toml = '[stage_aliases]\n"Smoke Test" = "smoke_test"\nqa = "compilation"'
    assert read(tmp_path, toml, {"TCPS_STAGE_ALIASES__QA": "test_execution"})["stage_aliases"] == {
        "Smoke Test": "smoke_test", "qa": "test_execution",
    }
    assert len(read(environ={"TCPS_STAGE_ALIASES__QA": "test_execution"})["stage_aliases"]) == 6
    assert read(environ={"TCPS_WORDS__A": "b"})["words"] == {"a": "b"}


@pytest.mark.parametrize(
    ("toml", "environ", "table"),
    [
        ("[buckets.security]\n[buckets.design]", {}, {"security": (5, 24.0), "design": (5, None)}),
        ("[buckets.security]\nlimit = 2", {}, {"security": (2, 24.0)}),
        ("[buckets.cost]",
         {"TCPS_BUCKETS__SECURITY__LIMIT": "1", "TCPS_BUCKETS__COST__SLA_HOURS": "9", "TCPS_BUCKETS__B__LIMIT": "8"},
         {"cost": (5, 9.0), "b": (8, None), "security": (1, 24.0)}),
        ("[buckets]", {"TCPS_BUCKETS__B__LIMIT": "8"},
         {"reliability": (5, 168.0), "security": (5, 24.0), "cost": (5, 720.0), "compliance": (5, 168.0),
          "b": (8, None)}),
    ],
)
def test_table_in_the_file_takes_the_place_of_the_default_names(
    tmp_path: Path, toml: str, environ: dict[str, str], table: dict[str, Any]
) -> None:
    buckets = read(tmp_path, toml, environ).table("buckets")
    assert [(name, tuple(bucket.values())) for name, bucket in buckets.items()] == list(table.items())


def test_one_level_table_is_a_mapping(tmp_path: Path) -> None:
    assert read().mapping("severities") == {"leak": "critical", "noise": "info"}
    assert read(tmp_path, 'severities.fire = "critical"').mapping("severities") == {"fire": "critical"}


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("port = 70000", "a whole number, at least 0, at most 65535"),
        ('port = "8080"', "a whole number, at least 0, at most 65535"),
        ("port = 1.0", "a whole number, at least 0, at most 65535"),
        ("host = 1", "text"),
        ('log_format = "xml"', "text, one of auto, text, json"),
        ('refresh_interval = "99ms"', 'a duration such as "500ms", "5s" or "30d", at least 100ms'),
        ("refresh_interval = 5000", 'a unit, "5000ms" or "5000s"'),
        ('refresh_interval = "1000"', 'a unit, "1000ms" or "1000s"'),
        ("cache_ttl = -1", 'a duration such as "500ms", "5s" or "30d"'),
        ("cache_ttl = true", 'a duration such as "500ms", "5s" or "30d"'),
        ('cache_ttl = "5 years"', 'a duration such as "500ms", "5s" or "30d"'),
        ('windows.waste = "0s"', 'a duration such as "500ms", "5s" or "30d", more than 0ms'),
        ('max_body = "1 MB"', 'a size such as "512 KiB" or "1 MiB", at least 1 B'),
        ('enable_auth = "yes"', "true or false"),
        ("ratio = nan", "a number, at least 0, at most 1"),
        ("ratio = 1.1", "a number, at least 0, at most 1"),
        ("cors_origins = [1]", "a list of texts, with commas between in the environment"),
        ('cors_origins = "a,b"', "a list of texts, with commas between in the environment"),
        ('stopping = ["all"]', "a list of texts, with commas between in the environment, one of info, critical"),
        ("stage_aliases.a = 1", "a table of texts, a variable each in the environment"),
        ("buckets.cost.limit = -1", 'a whole number, at least 0, or "none"'),
        ("buckets.cost.sla_hours = 0", 'a number, more than 0, or "none"'),
        ("buckets.cost.sla_hours = inf", 'a number, more than 0, or "none"'),
        ('severities.a = "fatal"', "text, one of info, critical"),
    ],
)
def test_unfit_value_in_the_file(tmp_path: Path, toml: str, expected: str) -> None:
    key = toml.partition(" = ")[0].replace("stage_aliases.a", "stage_aliases")
    (fault,) = faults(tmp_path, toml)
    assert re.fullmatch(rf"{re.escape(key)} = .+ \(file tcps\.toml\): expected {re.escape(expected)}", fault)


@pytest.mark.parametrize(
    ("variable", "text", "fault"),
    [
        ("TCPS_PORT", "http", "port = 'http' ({}): expected a whole number"),
        ("TCPS_ENABLE_AUTH", "maybe", "enable_auth = 'maybe' ({}): expected true or false"),
        ("TCPS_RATIO", "nan", "ratio = 'nan' ({}): expected a number"),
        ("TCPS_REFRESH_INTERVAL", "5000", 'refresh_interval = \'5000\' ({}): expected a unit, "5000ms" or "5000s"'),
        ("TCPS_STAGE_ALIASES", "a=b", "stage_aliases = 'a=b' ({}): expected a table"),
        ("TCPS_BUCKETS__STALE__LIMIT", "1", "buckets.stale ({}): expected a name of a-z, 0-9 and _, none of total_wip, "
         "timestamp, age_seconds, window_seconds, stale"),
    ],
)
def test_unfit_value_in_the_environment(variable: str, text: str, fault: str) -> None:
    (found,) = faults(environ={variable: text})
    assert found.startswith(fault.format(f"environment {variable}"))


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TCPS_PROT", "TCPS_PORT"),
        ("TCPS_TOKN", "TCPS_TOKEN"),
        ("TCPS_HOST_FILE", "TCPS_HOST"),
        ("TCPS_JWT__KEY_FIL", "TCPS_JWT__KEY_FILE"),
        ("TCPS_prot", "TCPS_PORT"),
        ("TCPS_BUCKETS", "TCPS_BUCKETS__NAME__LIMIT"),
        ("TCPS_BUCKETS__COST__LIMITS", "TCPS_BUCKETS__COST__LIMIT"),
        ("TCPS_STAGE_ALIAS__QA", "TCPS_STAGE_ALIASES__QA"),
    ],
)
def test_unknown_variable_names_the_nearest(variable: str, nearest: str) -> None:
    (found,) = faults(environ={variable: "1"})
    assert found == f"{variable.upper()} (environment): unknown, the nearest known one is {nearest}"


@pytest.mark.parametrize(
    ("toml", "unknown", "nearest"),
    [
        ("prot = 1", "prot", "port"),
        ("[windws]\nwaste = 1", "windws.waste", "windows.waste"),
        ("[bukets]", "bukets", "buckets.NAME.limit"),
        ("buckets = 5", "buckets", "buckets.NAME.limit"),
        ("buckets.cost.limi = 5", "buckets.cost.limi", "buckets.cost.limit"),
    ],
)
def test_unknown_key_names_the_nearest(tmp_path: Path, toml: str, unknown: str, nearest: str) -> None:
    assert faults(tmp_path, toml) == [f"{unknown} (file tcps.toml): unknown, the nearest known one is {nearest}"]


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[buckets.total_wip]", "buckets.total_wip (file tcps.toml): expected a name of a-z, 0-9 and _, none of "),
        ("buckets.Cost.limit = 5", "buckets.Cost (file tcps.toml): expected a name of a-z, 0-9 and _"),
        ("port = 1\nport = 2\n", "{file}: is not TOML: Cannot overwrite a value (at line 2, column 9)"),
        ("port", "{file}: is not TOML: Expected '=' after a key in a key/value pair (at end of document)"),
    ],
)
def test_fault_in_the_file(tmp_path: Path, toml: str, fault: str) -> None:
    (found,) = faults(tmp_path, toml)
    assert found.startswith(fault.format(file=tmp_path / "tcps.toml"))


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'port = 1\nhost = "\xe4"\n')
    missing = tmp_path / "none.toml"
    reasons = {missing: "can't be read: No such", tmp_path: "can't be read: Is", latin: "is not UTF-8 text (at line 2)"}
    for file, fault in reasons.items():
        with pytest.raises(SettingsError, match=re.escape(f"{file}: {fault}")):
            load(ROWS, file=file, environ={})


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, "port = -1\nprot = 1", {"TCPS_RATIO": "2", "TCPS_X": "1"})
    assert [fault.split(" ")[0] for fault in found] == ["prot", "TCPS_X", "port", "ratio"]
    with pytest.raises(SettingsError, match=r"^port: is declared twice$"):
        load([*HOST, HOST[1]], environ={})


@pytest.mark.parametrize(
    "variable",
    [
        "TCPS_TOKEN=t", "TCPS_CONFIG=f", "TCPSX=1", "OTHER=1",
        "TCPS_SERVICE_HOST=10.0.0.1", "TCPS_SERVICE_PORT=8080", "TCPS_SERVICE_PORT_HTTP=8080",
        "TCPS_SERVICE_PORT_HTTP_WEB=8080", "TCPS_PORT=tcp://10.0.0.1:8080", "TCPS_PORT=udp://10.0.0.1:514",
        "TCPS_PORT_8080_TCP=tcp://10.0.0.1:8080", "TCPS_PORT_8080_TCP_ADDR=10.0.0.1", "TCPS_PORT_8080_TCP_PORT=8080",
        "TCPS_PORT_8080_TCP_PROTO=tcp", "TCPS_PORT_514_UDP_PROTO=udp",
        "TCPS_EXPORTER_SERVICE_HOST=10.0.0.1", "TCPS_EXPORTER_SERVICE_PORT_HTTP=8080",
        "TCPS_EXPORTER_PORT=tcp://10.0.0.1:8080", "TCPS_EXPORTER_PORT_8080_TCP_ADDR=10.0.0.1",
        "TCPS_A_B_PORT_1_UDP=udp://10.0.0.1:1",
    ],
)
def test_variable_that_is_no_setting_is_ignored(variable: str) -> None:
    name, _, text = variable.partition("=")
    assert read(environ={name: text}) == read()


@pytest.mark.parametrize(
    "variable",
    [
        "TCPS_PORT=http://a", "TCPS_PORT_8080=1", "TCPS_PORT_HTTP_TCP=1", "TCPS_PORT_8080_TCP_X=1", "TCPS_SERVICE=1",
        "TCPS_SERVICE_HOSTS=1", "TCPS_SERVICE__HOST=1", "TCPS_EXPORTER_PORT=8080",
    ],
)
def test_variable_that_only_resembles_a_service_link_is_a_fault(variable: str) -> None:
    name, _, text = variable.partition("=")
    assert len(faults(environ={name: text})) == 1


def test_secret_comes_from_a_file_and_is_never_printed(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sesame\n")
    settings = read(environ={"TCPS_JWT__KEY_FILE": str(file)})
    assert (settings["jwt.key"], settings.source("jwt.key")) == ("sesame", "environment TCPS_JWT__KEY_FILE")
    assert "sesame" not in repr(settings)
    row = Setting("jwt.key", "text", "sesame", "A secret.", ("open",), secret=True)
    assert "sesame" not in describe([row])
    for environ in ({"TCPS_JWT__KEY_FILE": str(file)}, {"TCPS_JWT__KEY": "sesame"}, {"TCPS_JWT__KEY_FILE": "sesame"}):
        with pytest.raises(SettingsError, match=r"^jwt\.key = \(secret\) \(environment TCPS_JWT__KEY") as raised:
            load([row], environ=environ)
        assert "sesame" not in str(raised.value)


def test_settings_are_immutable() -> None:
    settings = read()
    settings.table("buckets")["cost"]["limit"] = 99
    assert settings["buckets.cost.limit"] == 5
    assert settings["cors_origins"] == ()
    with pytest.raises(TypeError):
        settings["stage_aliases"]["x"] = "y"


@pytest.mark.parametrize("key", ["nope", "buckets", "buckets.*.limit", "buckets.design.limit", "windows"])
def test_undeclared_key_is_a_key_error(key: str) -> None:
    with pytest.raises(KeyError):
        read()[key]


def test_flag_sets_what_is_declared_and_typed_or_text() -> None:
    flags = {"buckets.security.limit": 2, "enable_auth": True, "cache_ttl": "5s", "port": None, "cors_origins": ["a"]}
    settings = read(flags=flags)
    assert [settings[key] for key in flags] == [2, True, 5_000, 8080, ("a",)]
    with pytest.raises(KeyError, match="prot"):
        read(flags={"prot": 1})
    with pytest.raises(SettingsError, match=r"^port = -1 \(flag --port\): expected a whole number"):
        read(flags={"port": -1})


@pytest.mark.parametrize(
    ("toml", "same"),
    [
        ("", True),
        ("windows.andon = '720h'\nport = 1", True),
        ("windows.andon = '1h'", False),
        ("[buckets.security]\n[buckets.reliability]\n[buckets.cost]\n[buckets.compliance]", False),
        ("[buckets.reliability]\n[buckets.security]\n[buckets.cost]\n[buckets.compliance]", True),
        ("buckets.security.limit = 'none'", False),
        ("stages = ['a']", False),
    ],
)
def test_fingerprint_follows_the_values_under_its_prefixes(tmp_path: Path, toml: str, same: bool) -> None:
    prefixes = ["windows", "buckets", "stages", "stage_aliases"]
    assert (read(tmp_path, toml).fingerprint(prefixes) == read().fingerprint(prefixes)) is same
    assert read().fingerprint(prefixes) == read().fingerprint(prefixes[::-1])
    assert read(tmp_path, toml).fingerprint(["window"]) == read().fingerprint(["window"])


def test_fingerprint_does_not_follow_the_order_of_a_map(tmp_path: Path) -> None:
    words = ("words = {a = 'x', b = 'y'}", "words = {b = 'y', a = 'x'}", "words = {a = 'x', b = 'z'}")
    one, same, other = (read(tmp_path, toml).fingerprint(["words"]) for toml in words)
    assert one == same != other


@pytest.mark.parametrize(
    "line",
    [
        "| `cache_ttl` | `TCPS_CACHE_TTL` | 60s | How long ",
        "| `max_ingest` | `TCPS_MAX_INGEST` | 32 MiB | ",
        "| `windows.throughput` | `TCPS_WINDOWS__THROUGHPUT` | 24h | ",
        "| `buckets.NAME.limit` | `TCPS_BUCKETS__NAME__LIMIT` | 5 | ",
        "| `stage_aliases` | `TCPS_STAGE_ALIASES__NAME` | validation = shacl_validation, ",
        "| `jwt.key` | `TCPS_JWT__KEY`, `TCPS_JWT__KEY_FILE` | (not shown) | ",
        "| `enable_auth` | `TCPS_ENABLE_AUTH` | false | Asks for tokens. (true or false) |",
        "| `ratio` | `TCPS_RATIO` | 0.5 | A share&#124;part. (",
        '| `pause` | `TCPS_PAUSE` | 2500ms | A moment. (a duration such as "500ms", "5s" or "30d"; flag `--pause`) |',
        "| `public_url` | `TCPS_PUBLIC_URL` | none | ",
    ],
)
def test_description_has_a_row_a_setting(line: str) -> None:
    lines = describe(ROWS).splitlines()
    assert len(lines) == len(ROWS) + 2
    assert any(row.startswith(line) for row in lines)
    assert {row.count(" | ") for row in lines[2:]} == {3}

"""The real process for tests: `tcps-exporter serve` on a free port, ended by SIGTERM and asked for exit code 0."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.conftest import ROOT

COMMAND = ROOT / ".venv" / "bin" / "tcps-exporter"


class Served:
    """A running service and its address."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address
        self.session = requests.Session()

    def get(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        return self.session.request(method, self.address + path, timeout=30, **more)


@contextmanager
def serving(folder: Path, *flags: str, **environment: str) -> Iterator[Served]:
    """The service on a database in `folder`, listening once this yields."""
    words = [str(COMMAND), "serve", "--port", "0", "--database", f"sqlite:///{folder}/line.db", *flags]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TCPS_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=clean | environment, stdout=log, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        address = next((line.split()[-1][:-1] for line in lines if "the line now" in line), None)
        assert address, f"it did not start: {process.wait()}"
        try:
            yield Served(process, address)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
            process.stderr.close()

"""A running service, talked to by its URL; a token comes from TCPS_TOKEN."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from exporter.errors import StartupError

if TYPE_CHECKING:
    from requests import Response

TIMEOUT = (5, 600)
PIECE = 65_536


class Remote:
    """Raises: StartupError, in one line, for whatever it can't get."""

    def __init__(self, url: str):
        self._url = url.rstrip("/")
        token = os.environ.get("TCPS_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> bytes:
        return self._ask("GET", path).content

    def take(self, door: str, options: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
        """Sends a file through a door, in pieces."""
        answer = self._ask("POST", f"/api/ingest/{door}", params=options, data=_pieces(file))
        return answer.json()  # type: ignore[no-any-return]

    def _ask(self, method: str, path: str, **more: Any) -> "Response":
        import requests  # slow and large, and no serving process needs it

        try:
            answer = requests.request(method, f"{self._url}{path}", headers=self._headers, timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            raise StartupError(f"can't reach {self._url}: {type(error).__name__}; is it running there?") from error
        if answer.status_code >= 400:
            raise StartupError(f"{self._url}{path} answered {answer.status_code}: {_reason(answer)}")
        return answer


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _reason(answer: "Response") -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason

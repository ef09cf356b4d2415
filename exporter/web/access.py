"""Who asks, and whether they may: the one question that the front and Flask put to each request."""

from typing import Any

ANONYMOUS = "anonymous"


def admit(environ: dict[str, Any]) -> str:
    """The name that facts are written under. Everybody is let in: the service listens on loopback by default."""
    return ANONYMOUS

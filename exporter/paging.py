"""Opaque cursors of lists: the (time, number) of the last row shown, so that a page stays put when rows are added."""

import base64
import binascii

from exporter.errors import Invalid

NEWEST = (1 << 62, 1 << 62)


def cursor(at: int, no: int) -> str:
    return base64.urlsafe_b64encode(f"{at}.{no}".encode()).decode().rstrip("=")


def after(text: str | None) -> tuple[int, int]:
    """The row after which the page begins; all rows where no cursor is given. Raises: Invalid."""
    if text is None:
        return NEWEST
    try:
        at, no = map(int, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).split(b"."))
    except (ValueError, binascii.Error):
        at, no = NEWEST
    if cursor(at, no) != text or not (0 <= at < NEWEST[0] and 0 <= no < NEWEST[1]):
        raise Invalid(f"cursor: expected the next_cursor of a list, got {text!r}", field="cursor")
    return at, no

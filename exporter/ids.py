"""Names of single things: a prefix and the number that the table gave, such as WO-42."""


def name(prefix: str, number: int) -> str:
    return f"{prefix}-{number}"


def number(prefix: str, text: str) -> int | None:
    """The number in `text`. None: `text` is no such name."""
    tail = text.removeprefix(f"{prefix}-")
    if not (tail.isascii() and tail.isdigit() and len(tail) < 19):
        return None
    return int(tail) if name(prefix, int(tail)) == text else None

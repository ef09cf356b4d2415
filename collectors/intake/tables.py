"""CSV of any size as rows with their line numbers: gzipped or not, read in pieces, the delimiter found by itself."""

import csv
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from exporter.contract import Invalid, Malformed

DELIMITERS = ",;\t|"
HEADER_BYTES = PIECE = 65_536


@contextmanager
def readable(file: BinaryIO) -> "Iterator[Rows]":
    """The rows of a file that was read to its end once, so that none is taken of one that breaks off.

    What can't be read twice is kept on disk meanwhile. Raises: as Rows does.
    """
    with ExitStack() as stack:
        if not file.seekable():
            copy = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, copy, PIECE)
            copy.seek(0)
            file = copy
        for _ in Rows(file):
            pass
        file.seek(0)
        yield Rows(file)


class _Pieces(io.RawIOBase):
    """Reads from a file and leaves it open when it is itself forgotten."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Rows:
    """`columns` of the header, then (line, values) of each row that is not empty.

    Raises: Malformed, naming the line, where the file stops being text, CSV or gzip; Invalid for a header without
    columns.
    """

    def __init__(self, file: BinaryIO):
        self._line = 0
        text = self._text(file)
        try:
            header = text.readline(HEADER_BYTES)
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise self._malformed(error) from error
        if not header.strip():
            raise Invalid("the file: expected a header line with the names of the columns, got none", field="file")
        delimiter = max(DELIMITERS, key=header.count)
        self.columns = next(csv.reader([header], delimiter=delimiter))
        self._reader = csv.reader(text, delimiter=delimiter)

    def __iter__(self) -> Iterator[tuple[int, Sequence[str]]]:
        reader = self._reader
        while True:
            self._line = reader.line_num + 2
            try:
                values = next(reader)
            except StopIteration:
                return
            except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
                raise self._malformed(error) from error
            if values:
                yield self._line, values

    def column(self, name: str, option: str) -> int:
        """Where the column stands. Raises: Invalid naming the option that asked for it."""
        if name not in self.columns:
            known = ", ".join(repr(column) for column in self.columns)
            raise Invalid(f"{option}: the file has no column {name!r}; it has {known}", field=option)
        return self.columns.index(name)

    def _text(self, file: BinaryIO) -> io.TextIOWrapper:
        source: Any = io.BufferedReader(_Pieces(file), PIECE)
        if source.peek(2)[:2] == b"\x1f\x8b":
            source = gzip.GzipFile(fileobj=source)
        return io.TextIOWrapper(source, encoding="utf-8-sig", newline="")

    def _malformed(self, error: Exception) -> Malformed:
        what = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"can't be read: {error}"
        return Malformed(
            f"the file, near line {max(1, self._line)}: {what}", field="file", details={"line": max(1, self._line)}
        )

"""CSV of any size as rows with their line numbers: gzipped or not, read in pieces, the delimiter found by itself."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from exporter.contract import Invalid, Malformed

DELIMITERS = ",;\t|"
HEADER_BYTES = 65_536


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
        source: Any = io.BufferedReader(file, 65_536)
        if source.peek(2)[:2] == b"\x1f\x8b":
            source = gzip.GzipFile(fileobj=source)
        return io.TextIOWrapper(source, encoding="utf-8-sig", newline="")

    def _malformed(self, error: Exception) -> Malformed:
        what = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"can't be read: {error}"
        return Malformed(
            f"the file, near line {max(1, self._line)}: {what}", field="file", details={"line": self._line}
        )

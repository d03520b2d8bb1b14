"""The audit log: who did what when with how many rows, and why; never whom it showed."""

import errno
import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, Self

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from passerby.files import explain_errors
from passerby.gallery.database_errors import plain_words

Operation = Literal["create", "add", "search", "forget", "purge", "reindex", "export", "repair"]

FILE_NAME = "audit.jsonl"
TABLE_NAME = "audit"

_BLOCK = 1 << 16
"""Bytes of the file that are read together from its end."""

_TABLE = pa.schema(
    [
        pa.field("time", pa.string(), nullable=False),
        pa.field("who", pa.string(), nullable=False),
        pa.field("operation", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes:
        time: by this machine's clock, UTC, as in ISO 8601.
        who: user and machine, or the address of a client of the server.
        operation: what was done.
        rows: how many were added, erased, answered, ...
        reason: in the user's words, if one was given.
    """

    time: str
    who: str
    operation: Operation
    rows: int
    reason: str | None = None

    @classmethod
    def now(
        cls, operation: Operation, rows: int, reason: str | None = None, who: str | None = None
    ) -> Self:
        # a command line may hold bytes that are not text
        text = None if reason is None else reason.encode("utf-8", "replace").decode()
        return cls(datetime.now(UTC).isoformat(), who or _me(), operation, rows, text)


_ENTRY = TypeAdapter(Entry)


class AuditLog(Protocol):
    """Entries are added at its end, and never changed."""

    def append(self, entry: Entry) -> None: ...

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries, the oldest first."""

    def latest(self, count: int) -> list[Entry]:
        """Return the last entries, the latest first."""

    def clean_up(self) -> None:
        """Keep it quick to read."""


class AuditFile:
    """Beside a gallery in a folder: one JSON object a line."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def append(self, entry: Entry) -> None:
        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        with explain_errors(self.path):
            self._append(line)

    def _append(self, line: str) -> None:
        # one write to a file opened for appending is never mixed with another's
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                # a full disk has cut off the line before
                line = "\n" + line
            content = line.encode()
            if os.write(file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        finally:
            os.close(file)

    def __iter__(self) -> Iterator[Entry]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as lines:
            yield from _entries(lines)

    def latest(self, count: int) -> list[Entry]:
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            return list(islice(_entries(_from_the_end(file)), count))

    def clean_up(self) -> None:
        pass


def _from_the_end(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines, the last one first."""
    start, rest = file.seek(0, os.SEEK_END), b""
    while start:
        size = min(start, max(_BLOCK, len(rest)))
        start = file.seek(start - size)
        # the beginning of a block is the end of a line before it
        rest, *lines = (file.read(size) + rest).split(b"\n")
        yield from reversed(lines)
    yield rest


def _entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        # a line that was cut off by a full disk is none; those after it count all the same
        with suppress(ValidationError):
            yield _ENTRY.validate_json(line)


class AuditTable:
    """In the database of a gallery at a URI."""

    def __init__(self, where: str, database: Any) -> None:
        self._where = where
        with plain_words(where, "open"):
            self._table = database.create_table(TABLE_NAME, schema=_TABLE, exist_ok=True)

    def append(self, entry: Entry) -> None:
        with plain_words(self._where, "write to"):
            self._table.add(pa.Table.from_pylist([asdict(entry)], _TABLE))

    def __iter__(self) -> Iterator[Entry]:
        with plain_words(self._where, "read"):
            rows = self._table.to_arrow().to_pylist()
        return iter(sorted((Entry(**row) for row in rows), key=lambda entry: entry.time))

    def latest(self, count: int) -> list[Entry]:
        return list(self)[: -count - 1 : -1]

    def clean_up(self) -> None:
        # each entry is a file of its own
        self._table.optimize(cleanup_older_than=timedelta(0))


def _me() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # a user id without a name, as in containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

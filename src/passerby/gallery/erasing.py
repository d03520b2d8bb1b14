"""Erasing people for good: rows, their bytes in every file, and a proof that none is left."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from passerby.data.columns import gallery_columns
from passerby.errors import InputError
from passerby.gallery.audit import FILE_NAME, Entry, Operation
from passerby.gallery.byte_scan import LEAST, find_bytes
from passerby.gallery.indexing import LEAST_ROWS, build_index, drop_index, index_of
from passerby.gallery.store import Store
from passerby.gallery.table_schema import EMBEDDING, vectors_of

_KEY = "passerby.erasing"

_START_OF_SCAN, _SCAN_HEADER = b"\xff\xda", 14
_ROWS = 4096

_RUNS, _LATEST = 200, 1000
"""Runs of rows that are deleted together; entries of the log among which one is looked for."""

_TRACE = 24
"""Bytes of an embedding, and of a thumbnail, that are looked for."""


@dataclass(frozen=True)
class Erased:
    """What was erased.

    Attributes:
        rows: how many crops.
        scanned: whether all files of the gallery were searched for what was erased, without
            finding it; not possible for a gallery at a URI.
        twins: crops that stay although a crop with the very same embedding was erased: other
            files of the same picture.
    """

    rows: int
    scanned: bool
    twins: tuple[str, ...]


def erase(
    store: Store,
    where: str,
    *,
    expected: int | None = None,
    operation: Operation = "forget",
    reason: str | None = None,
    who: str | None = None,
) -> Erased:
    """Erase the rows that a filter admits.

    Rows that share a file with erased ones are written anew, an index is built anew, all earlier
    versions and leftovers of crashed writers are deleted, and then every file is searched for the
    embeddings, hashes and thumbnails, and for persons' names and paths that no other row has. The
    image files that were added are not touched. What an interruption leaves undone is done by
    whoever opens the gallery next.

    Args:
        store: the gallery.
        where: a filter for the store.
        expected: how many rows that has to be; nothing is erased if it is another number.
        operation, reason, who: for the audit log.

    Raises:
        InputError: the gallery cannot be written to, the number is another one, the reason names
            whom it erases, or something of what was erased was found.
    """
    with store.committing():
        if is_unfinished(store):
            finish(store)
        count = store.count(where)
        if expected is not None and count != expected:
            raise InputError(
                f"{count} crops are meant by now, not {expected}: look at them and ask again."
            )
        if not count:
            return Erased(0, False, ())
        marks = _Marks.of(store, where)
        if operation == "forget":
            _check_reason(reason, marks.people)
        indexed = index_of(store) is not None
        drop_index(store)
        entry = Entry.now(operation, count, reason, who)
        # noted first: what is interrupted will be finished
        store.annotate(_KEY, _Note.of_rows(marks.rows, marks.files, entry).model_dump_json())
        store.audit.append(entry)
        store.crops.delete(where)
        twins = finish(store, marks)
    if indexed and store.count() >= LEAST_ROWS:
        build_index(store)
    return Erased(count, store.folder is not None, twins)


def is_unfinished(store: Store) -> bool:
    """Tell whether an erasure is going on, or was interrupted."""
    return _noted(store) is not None


def finish_interrupted(store: Store) -> bool:
    """Do what an interrupted command left undone; tell whether there was anything.

    Nobody waits for it: if another process is at work on the gallery, it is left to that.

    Raises:
        InputError: the gallery cannot be written to.
    """
    if not is_unfinished(store):
        return False
    with store.committing(patience=0) as alone:
        if not alone or not is_unfinished(store):
            return False
        finish(store)
    return True


class _Note(BaseModel):
    """What is to be done by whoever opens the gallery, should the process that does it die.

    Attributes:
        rows: ids of rows to delete, as runs of the first and the last: they stay the same when
            a file is written anew.
        files: numbers of the files that held them, which are written anew.
        entry: of the audit log, which may lack it.
    """

    rows: list[tuple[int, int]] = []
    files: list[int] = []
    entry: Entry | None = None

    @classmethod
    def of_rows(cls, rows: Iterable[int], files: Iterable[int], entry: Entry) -> Self:
        runs: list[tuple[int, int]] = []
        for row in sorted(rows):
            if runs and runs[-1][1] == row - 1:
                runs[-1] = (runs[-1][0], row)
            else:
                runs.append((row, row))
        return cls(rows=runs, files=sorted(files), entry=entry)


def note_clean_up(store: Store) -> None:
    """Note that old files are to be deleted; to be called while `committing`."""
    if not is_unfinished(store):
        store.annotate(_KEY, _Note().model_dump_json())


def with_note(schema: pa.Schema, entry: Entry) -> pa.Schema:
    """Return the columns of a new table with the note that the old one's files are to be deleted.

    Args:
        schema: the columns.
        entry: of the audit log, which the new table's making has not entered yet.
    """
    place = schema.get_field_index(EMBEDDING)
    note = _Note(entry=entry).model_dump_json()
    return schema.set(place, schema.field(place).with_metadata({_KEY: note}))


def _noted(store: Store) -> _Note | None:
    text = store.annotation(_KEY)
    return None if text is None else _Note.model_validate_json(text)


@dataclass(frozen=True)
class _Marks:
    """By what rows are known once they are gone.

    Attributes:
        rows: their ids.
        files: numbers of the files that hold them.
        people: text that may tell who they are.
        names: that, and paths, as bytes by which they would be found in a file.
        traces: bytes by which they would be found in a file.
        embeddings: those of the traces that begin an embedding.
    """

    rows: list[int]
    files: set[int]
    people: set[str]
    names: set[bytes]
    traces: set[bytes]
    embeddings: set[bytes]

    @classmethod
    def of(cls, store: Store, where: str) -> "_Marks":
        """Read the rows that a filter admits, a few at a time."""
        marks = cls([], set(), set(), set(), set(), set())
        query = store.query([*_columns(store), "_rowid", "_rowaddr"], where)
        for batch in store.batches(query, _ROWS):
            rows = pa.Table.from_batches([batch])
            marks.rows.extend(rows.column("_rowid").to_pylist())
            # an address begins with the number of its file
            marks.files.update(address >> 32 for address in rows.column("_rowaddr").to_pylist())
            people, paths = _texts(rows, _personal_columns()), _texts(rows, ["path"])
            marks.people.update(people)
            # short ones occur by chance
            names = (text.encode() for text in people | paths)
            marks.names.update(name for name in names if len(name) >= LEAST)
            marks.traces.update(traces_of(rows))
            marks.embeddings.update(_beginnings(rows))
        return marks


def finish(store: Store, marks: _Marks | None = None) -> tuple[str, ...]:
    """Write what is left of the noted files anew, delete them, and search for what was in them.

    To be called while `committing`.

    Args:
        store: the gallery.
        marks: of the rows that were deleted; if left out, the noted rows and the entry in the log
            may be there or not, and nothing can be searched for.

    Returns:
        The twins of the rows, see `Erased`.

    Raises:
        InputError: something of what was erased was found.
    """
    note = _noted(store) or _Note()
    if marks is None:
        _catch_up(store, note)
    for file in note.files:
        # an update moves rows to a new file
        store.crops.update(where=within_file(file), values_sql={"added": "added"})
    store.clean_up()
    twins = () if marks is None or store.folder is None else _proved(store, store.folder, marks)
    store.annotate(_KEY, None)
    return twins


def _catch_up(store: Store, note: _Note) -> None:
    """Delete the noted rows that are still there, and log what the log may lack."""
    for start in range(0, len(note.rows), _RUNS):
        runs = note.rows[start : start + _RUNS]
        store.crops.delete(" OR ".join(_between(first, last) for first, last in runs))
    entry = note.entry
    if entry is not None and not any(
        (known.time, known.operation) == (entry.time, entry.operation)
        for known in store.audit.latest(_LATEST)
    ):
        store.audit.append(entry)


def within_file(file: int) -> str:
    """Return the filter for the rows of a file of the table."""
    return f"(_rowaddr >= {file << 32} AND _rowaddr < {(file + 1) << 32})"


def _between(first: int, last: int) -> str:
    return f"(_rowid >= {first} AND _rowid <= {last})"


def traces_of(rows: pa.Table) -> list[bytes]:
    """Return the bytes by which rows would be found in a file."""
    found = [value.encode() for value in _texts(rows, ["hash", "frame"])]
    if "thumbnail" in rows.column_names:
        found += [trace for i in rows.column("thumbnail").to_pylist() if (trace := _of_jpeg(i))]
    return found + _beginnings(rows)


def _beginnings(rows: pa.Table) -> list[bytes]:
    return [vector.tobytes()[:_TRACE] for vector in vectors_of(rows)]


def _of_jpeg(image: bytes) -> bytes | None:
    """Return bytes from the middle of a picture's own data; None if there are too few."""
    start = image.find(_START_OF_SCAN) + _SCAN_HEADER
    middle = (start + len(image)) // 2
    return image[middle : middle + _TRACE] if middle + _TRACE <= len(image) - 2 else None


def _columns(store: Store) -> list[str]:
    known = store.schema.names
    names = ("hash", "frame", "path", *_personal_columns(), "thumbnail", EMBEDDING)
    return [name for name in names if name in known]


def _personal_columns() -> list[str]:
    return [c.name for c in gallery_columns() if c.personal and c.kind.name == "text"]


def _texts(rows: pa.Table, columns: Iterable[str]) -> set[str]:
    """Return the texts that stand in columns."""
    known = [name for name in columns if name in rows.column_names]
    return {text for name in known for text in rows.column(name).to_pylist() if text}


def _check_reason(reason: str | None, people: Iterable[str]) -> None:
    """Check that a reason, which the log keeps for good, does not name those who are erased."""
    for name in people if reason else ():
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reason or "", re.IGNORECASE):
            raise InputError(
                "`reason` names whom it asks to erase, and the audit log keeps it for good: write "
                "it without the name."
            )


def _proved(store: Store, folder: Path, marks: _Marks) -> tuple[str, ...]:
    """Search every file for what was erased; return the twins."""
    left = find_bytes(folder, marks.traces | marks.names)
    _leave_out_log(store, folder, left, marks.names)
    if not left:
        return ()
    twins = _explained(store, left, marks.embeddings)
    log = folder / FILE_NAME
    if log in left.values():
        raise InputError(
            f"The rows are erased, but a reason in {log} still names whom they showed: change that "
            "line if the name has to go from there too."
        )
    if left:
        raise InputError(
            f"The rows are erased, but {next(iter(left.values()))} still holds bytes of them: stop "
            "every process that uses the gallery and run the command again."
        )
    return tuple(sorted(twins))


def _leave_out_log(store: Store, folder: Path, left: dict[bytes, Path], names: set[bytes]) -> None:
    """Take names out of `left` that only tell who did something, and look further for others."""
    log = folder / FILE_NAME
    logged = {name for name in names if left.get(name) == log}
    if not logged:
        return
    reasons = "\0".join(entry.reason or "" for entry in store.audit).encode()
    elsewhere = find_bytes(folder, logged, but=log)
    for name in logged:
        if name in elsewhere:
            left[name] = elsewhere[name]
        elif name not in reasons:
            del left[name]


def _explained(store: Store, left: dict[bytes, Path], embeddings: set[bytes]) -> list[str]:
    """Take out of `left` what belongs to rows that stay; return those with the same embedding."""
    twins = []
    schema = store.schema
    # somebody may be called like a column, or like a word of the settings
    _take_out(left, [*map(str.encode, schema.names), *(schema.metadata or {}).values()])
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    columns = list(dict.fromkeys([*_columns(store), *texts]))
    for batch in store.batches(store.query(columns), _ROWS):
        rows = pa.Table.from_batches([batch])
        thumbnails = rows.column("thumbnail") if "thumbnail" in rows.column_names else None
        hashes = rows.column("hash").to_pylist()
        _take_out(left, map(str.encode, _texts(rows, texts)))
        for number, vector in enumerate(map(np.ndarray.tobytes, vectors_of(rows))):
            image = b"" if thumbnails is None else thumbnails[number].as_py()
            for trace in [trace for trace in left if vector.startswith(trace) or trace in image]:
                del left[trace]
            if vector[:_TRACE] in embeddings:
                twins.append(hashes[number])
    return twins


def _take_out(left: dict[bytes, Path], staying: Iterable[bytes]) -> None:
    """Take out of `left` what is part of something that stays."""
    content = b"\0".join(staying)
    for trace in [trace for trace in left if trace in content]:
        del left[trace]

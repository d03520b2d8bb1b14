"""Erasing people for good: rows, their bytes in every file, and a proof that none is left."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from passerby.errors import InputError
from passerby.gallery.audit import Entry, Operation
from passerby.gallery.columns import EMBEDDING, vectors_of
from passerby.gallery.indexing import LEAST_ROWS, build_index, drop_index, index_of
from passerby.gallery.store import Store
from passerby.gallery.traces import found_in

_KEY = "passerby.erasing"

_START_OF_SCAN, _SCAN_HEADER = b"\xff\xda", 14
_ROWS = 4096

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
    embeddings, hashes and thumbnails. The image files that were added are not touched. What an
    interruption leaves undone is done by whoever opens the gallery next.

    Args:
        store: the gallery.
        where: a filter for the store.
        expected: how many rows that has to be; nothing is erased if it is another number.
        operation, reason, who: for the audit log.

    Raises:
        InputError: the gallery cannot be written to, the number is another one, or something of
            what was erased was found.
    """
    with store.committing():
        count = store.count(where)
        if expected is not None and count != expected:
            raise InputError(
                f"{count} crops are meant by now, not {expected}: look at them and ask again."
            )
        if not count:
            if _unfinished(store) is not None:
                finish(store)
            return Erased(0, False, ())
        marks = _Marks.of(store, where)
        indexed = index_of(store) is not None
        drop_index(store)
        note_unfinished(store, marks.files)
        # noted first: what is interrupted will be finished
        store.audit.append(Entry.now(operation, count, reason, who))
        store.crops.delete(where)
        twins = finish(store, marks)
    if indexed and store.count() >= LEAST_ROWS:
        build_index(store)
    return Erased(count, store.folder is not None, twins)


def finish_erasing(store: Store) -> bool:
    """Do what an interrupted erasure left undone; tell whether there was anything.

    Nobody waits for it: if another process is at work on the gallery, it is left to that.

    Raises:
        InputError: the gallery cannot be written to.
    """
    if _unfinished(store) is None:
        return False
    with store.committing(patience=0) as alone:
        if not alone or _unfinished(store) is None:
            return False
        finish(store)
    return True


def note_unfinished(store: Store, files: Iterable[int]) -> None:
    """Note, before any row is deleted, which files hold rows that will be.

    Args:
        store: the gallery, while `committing`.
        files: their numbers; none if nothing has to be written anew before old files are deleted.
    """
    store.annotate(_KEY, json.dumps(sorted({*files, *(_unfinished(store) or ())})))


def noted_unfinished(schema: pa.Schema) -> pa.Schema:
    """Return the columns of a new table with the note that files of the old one are still there."""
    place = schema.get_field_index(EMBEDDING)
    return schema.set(place, schema.field(place).with_metadata({_KEY: json.dumps([])}))


def _unfinished(store: Store) -> list[int] | None:
    """Return the files that hold bytes of deleted rows; None if no erasure is going on."""
    text = store.annotation(_KEY)
    return None if text is None else json.loads(text)


@dataclass(frozen=True)
class _Marks:
    """By what rows are known once they are gone.

    Attributes:
        files: numbers of the files that hold them.
        traces: bytes by which they would be found in a file.
        embeddings: those of the traces that begin an embedding.
    """

    files: set[int]
    traces: set[bytes]
    embeddings: set[bytes]

    @classmethod
    def of(cls, store: Store, where: str) -> "_Marks":
        """Read the rows that a filter admits, a few at a time."""
        marks = cls(set(), set(), set())
        query = store.query(_columns(store), where).with_row_id(True)
        for batch in store.batches(query, _ROWS):
            rows = pa.Table.from_batches([batch])
            # a row's id begins with the number of its file
            marks.files.update(row >> 32 for row in rows.column("_rowid").to_pylist())
            marks.traces.update(traces_of(rows))
            marks.embeddings.update(_beginnings(rows))
        return marks


def finish(store: Store, marks: _Marks | None = None) -> tuple[str, ...]:
    """Write what is left of the noted files anew, delete them, and search for what was in them.

    To be called while `committing`.

    Args:
        store: the gallery.
        marks: of the erased rows; nothing is searched for if they are not known any more.

    Returns:
        The twins of the rows, see `Erased`.

    Raises:
        InputError: something of what was erased was found.
    """
    for file in _unfinished(store) or ():
        # an update moves rows to a new file
        store.crops.update(
            where=f"_rowid >= {file << 32} AND _rowid < {(file + 1) << 32}",
            values_sql={"added": "added"},
        )
    store.clean_up()
    twins = () if marks is None or store.folder is None else _proved(store, store.folder, marks)
    store.annotate(_KEY, None)
    return twins


def traces_of(rows: pa.Table) -> list[bytes]:
    """Return the bytes by which rows would be found in a file."""
    found = [value.encode() for value in rows.column("hash").to_pylist()]
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
    return [name for name in ("hash", "thumbnail", EMBEDDING) if name in known]


def _proved(store: Store, folder: Path, marks: _Marks) -> tuple[str, ...]:
    """Search every file for what was erased; return the twins."""
    left = found_in(folder, marks.traces)
    if not left:
        return ()
    twins = _explained(store, left, marks.embeddings)
    if left:
        raise InputError(
            f"The rows are erased, but {next(iter(left.values()))} still holds bytes of them: stop "
            "every process that uses the gallery and run the command again."
        )
    return tuple(sorted(twins))


def _explained(store: Store, left: dict[bytes, Path], embeddings: set[bytes]) -> list[str]:
    """Take out of `left` what belongs to rows that stay; return those with the same embedding."""
    twins = []
    for batch in store.batches(store.query(_columns(store)), _ROWS):
        rows = pa.Table.from_batches([batch])
        thumbnails = rows.column("thumbnail") if "thumbnail" in rows.column_names else None
        hashes = rows.column("hash").to_pylist()
        for number, vector in enumerate(map(np.ndarray.tobytes, vectors_of(rows))):
            image = b"" if thumbnails is None else thumbnails[number].as_py()
            for trace in [trace for trace in left if vector.startswith(trace) or trace in image]:
                del left[trace]
            if vector[:_TRACE] in embeddings:
                twins.append(hashes[number])
    return twins

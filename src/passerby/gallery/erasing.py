"""Erasing people for good: rows, their bytes in every file, and a proof that none is left."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.gallery.audit import Entry, Operation
from passerby.gallery.columns import EMBEDDING, vectors_of
from passerby.gallery.indexing import LEAST_ROWS, build_index, drop_index, index_of
from passerby.gallery.store import Store
from passerby.gallery.traces import found_in

_KEY = "passerby.erasing"

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
        operation, reason, who: for the audit log.

    Raises:
        InputError: the gallery cannot be written to, or something of what was erased was found.
    """
    with store.committing():
        columns = [name for name in ("hash", "thumbnail", EMBEDDING) if _has(store, name)]
        count = store.crops.count_rows(where)
        if not count:
            return Erased(0, False, ())
        query = store.crops.search().where(where).select(columns).with_row_id(True)
        rows = store.read(query.limit(count))
        indexed = index_of(store) is not None
        drop_index(store)
        _begin(store, rows)
        store.crops.delete(where)
        store.audit.append(Entry.now(operation, len(rows), reason, who))
        _finish(store)
        twins = () if store.folder is None else _proved(store, store.folder, rows)
    if indexed and store.crops.count_rows() >= LEAST_ROWS:
        build_index(store)
    return Erased(len(rows), store.folder is not None, twins)


def finish_erasing(store: Store) -> bool:
    """Do what an interrupted erasure left undone; tell whether there was anything.

    Nobody waits for it: if another process is at work on the gallery, it is left to that.

    Raises:
        InputError: the gallery cannot be written to.
    """
    if not _unfinished(store):
        return False
    with store.committing(patience=0) as alone:
        if not (alone and _unfinished(store)):
            return False
        _finish(store)
    return True


def _begin(store: Store, rows: pa.Table) -> None:
    """Note, before any row is deleted, which files hold rows that will be."""
    # a row's id begins with the number of its file
    files = sorted({row >> 32 for row in rows.column("_rowid").to_pylist()})
    store.annotate(_KEY, json.dumps(files))


def _unfinished(store: Store) -> list[int]:
    """Return the files that hold bytes of deleted rows."""
    text = store.annotation(_KEY)
    return [] if text is None else json.loads(text)


def _finish(store: Store) -> None:
    """Write what is left of these files anew, and delete them."""
    for file in _unfinished(store):
        # an update moves rows to a new file
        store.crops.update(
            where=f"_rowid >= {file << 32} AND _rowid < {(file + 1) << 32}",
            values_sql={"added": "added"},
        )
    store.clean_up()
    store.annotate(_KEY, None)


def traces_of(rows: pa.Table) -> list[bytes]:
    """Return the bytes by which rows would be found in a file."""
    found = [value.encode() for value in rows.column("hash").to_pylist()]
    if "thumbnail" in rows.column_names:
        for image in rows.column("thumbnail").to_pylist():
            middle = len(image) // 2
            found.append(image[middle : middle + _TRACE])
    found += [vector.tobytes()[:_TRACE] for vector in vectors_of(rows)]
    return found


def _has(store: Store, column: str) -> bool:
    return column in store.crops.schema.names


def _proved(store: Store, folder: Path, rows: pa.Table) -> tuple[str, ...]:
    """Search every file for what was erased; return the twins that account for what is found."""
    left = found_in(folder, traces_of(rows))
    if not left:
        return ()
    vectors = vectors_of(rows)
    suspects = vectors[[vector.tobytes()[:_TRACE] in left for vector in vectors]]
    twins = _rows_like(store, suspects)
    for trace in set(left) - set(traces_of(twins)):
        raise InputError(
            f"The rows are erased, but {left[trace]} still holds bytes of them: stop every "
            "process that uses the gallery and run the command again."
        )
    return tuple(sorted(twins.column("hash").to_pylist()))


def _rows_like(store: Store, vectors: NDArray[np.float32]) -> pa.Table:
    """Return the rows that have one of these very embeddings."""
    columns = [name for name in ("hash", "thumbnail", EMBEDDING) if _has(store, name)]
    parts = []
    for vector in vectors:
        search = store.crops.search(vector, vector_column_name=EMBEDDING).distance_type("l2")
        search = search.distance_range(upper_bound=1e-9).limit(1000).select([*columns, "_distance"])
        parts.append(store.read(search).select(columns))
    if not parts:
        return store.read(store.crops.search().select(columns).limit(0))
    return pa.concat_tables(parts)

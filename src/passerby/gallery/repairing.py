"""Keeping what can still be read when a file of the gallery is damaged."""

from collections.abc import Iterator

from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import finish, note_clean_up, within_file
from passerby.gallery.indexing import drop_index
from passerby.gallery.store import Store

_ROWS = 1024


def repair(store: Store, reason: str | None = None) -> int:
    """Take out the rows of files that cannot be read, and the index.

    Returns:
        How many rows were lost: add their crops again, `add` leaves out those that are there.
    """
    lost = 0
    with store.committing():
        drop_index(store)
        note_clean_up(store)
        for file, rows in list(_files(store)):
            if not _readable(store, rows):
                store.crops.delete(within_file(file))
                lost += len(rows)
        # the damaged files may hold people who are erased, or will be
        finish(store)
    store.audit.append(Entry.now("repair", lost, reason))
    return lost


def _files(store: Store) -> Iterator[tuple[int, list[int]]]:
    """Yield each file's number and the ids of its rows; no file is read for it."""
    rest, file = store.crops.count_rows(), 0
    while rest:
        # ids do not tell the file, addresses do; the table's own notes hold both
        query = store.query(["_rowid"], within_file(file))
        rows = store.read(query).column("_rowid").to_pylist()
        if rows:
            yield file, rows
        rest -= len(rows)
        file += 1


def _readable(store: Store, rows: list[int]) -> bool:
    """Tell whether all rows of a file can be read; others' files are left alone."""
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        try:
            if len(store.read(store.crops.take_row_ids(part))) != len(part):
                return False
        except InputError:
            return False
    return True

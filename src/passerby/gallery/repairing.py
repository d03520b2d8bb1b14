"""Keeping what can still be read when a file of the gallery is damaged."""

from collections.abc import Iterator

from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import finish, note_clean_up
from passerby.gallery.indexing import drop_index
from passerby.gallery.store import Store

_ROWS = 1024
_LARGEST_FILE = 1 << 24
"""Rows of one file at most, erased ones too."""


def repair(store: Store, reason: str | None = None) -> int:
    """Take out the rows of files that cannot be read, and the index.

    Returns:
        How many rows were lost: add their crops again, `add` leaves out those that are there.
    """
    lost = 0
    with store.committing():
        drop_index(store)
        note_clean_up(store)
        for first, rows in list(_files(store)):
            if not _readable(store, first, rows):
                store.crops.delete(_within(first))
                lost += rows
        # the damaged files may hold people who are erased, or will be
        finish(store)
    store.audit.append(Entry.now("repair", lost, reason))
    return lost


def _files(store: Store) -> Iterator[tuple[int, int]]:
    """Yield each file's first row id, and how many rows it holds; no file is read for it."""
    rest, first = store.crops.count_rows(), 0
    while rest:
        rows = store.crops.count_rows(_within(first))
        if rows:
            yield first, rows
        rest -= rows
        first += 1 << 32


def _within(first: int) -> str:
    return f"_rowid >= {first} AND _rowid < {first + (1 << 32)}"


def _readable(store: Store, first: int, rows: int) -> bool:
    """Tell whether all rows of a file can be read; others' files are left alone."""
    found = 0
    for start in range(first, first + _LARGEST_FILE, _ROWS):
        try:
            # ids of erased rows are passed over
            found += len(store.read(store.crops.take_row_ids(list(range(start, start + _ROWS)))))
        except InputError:
            return False
        if found == rows:
            return True
    return False

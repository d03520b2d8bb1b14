"""Keeping what can still be read when a file of the gallery is damaged."""

from collections import defaultdict

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
        for file, rows in sorted(_files(store).items()):
            if not _readable(store, rows):
                store.crops.delete(within_file(file))
                lost += len(rows)
        # the damaged files may hold people who are erased, or will be
        finish(store)
    store.audit.append(Entry.now("repair", lost, reason))
    return lost


def _files(store: Store) -> dict[int, list[int]]:
    """Return the number of each file and the ids of its rows; no file is read for it."""
    table = store.read(store.query(["_rowid", "_rowaddr"]))
    found: dict[int, list[int]] = defaultdict(list)
    columns = (table.column(name).to_pylist() for name in ("_rowid", "_rowaddr"))
    for row, address in zip(*columns, strict=True):
        # ids do not tell the file, addresses begin with its number
        found[address >> 32].append(row)
    return found


def _readable(store: Store, rows: list[int]) -> bool:
    """Tell whether all rows of a file can be read; others' files are left alone."""
    columns = store.schema.names
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        try:
            if len(store.take(part, columns)) != len(part):
                return False
        except InputError:
            return False
    return True

"""Which crops a gallery has, known without asking the table each time."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.gallery.table_schema import hash_filter

if TYPE_CHECKING:
    from passerby.gallery.store import Store


class KnownHashes:
    """Tells which hashes are in a gallery; of most that are not it knows so by itself.

    It remembers the first 8 bytes of each hash that the table had. What others add is read; what
    they erase need not be: what looks known is asked of the table.

    Args:
        store: the gallery.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._lock = threading.Lock()
        self._beginnings = np.empty(0, np.uint64)
        self._version: int | None = None
        self._rows = 0

    def among(self, hashes: Sequence[str]) -> set[str]:
        """Return those of these hashes that are in the gallery now.

        Raises:
            InputError: one is not a hash, or a file of the gallery is damaged.
        """
        if not hashes:
            return set()
        with self._lock:
            self._catch_up()
            perhaps = np.isin(_beginnings(hashes), self._beginnings)
        asked = [value for value, known in zip(hashes, perhaps, strict=True) if known]
        if not asked:
            return set()
        query = self._store.query(["hash"], hash_filter(asked))
        return set(self._store.read(query).column("hash").to_pylist())

    def _catch_up(self) -> None:
        version = self._store.version
        if version == self._version:
            return
        rows = self._store.count()
        found = None
        if self._version is not None:
            found = self._store.appended(self._version, self._rows, rows, ["hash"])
        if found is None:
            found = self._store.read(self._store.query(["hash"]))
            self._beginnings = np.empty(0, np.uint64)
        mine = _beginnings(found.column("hash").to_pylist())
        self._beginnings = np.concatenate([self._beginnings, mine])
        # what came after the version was asked for is read again
        self._version, self._rows = version, rows


def _beginnings(hashes: Sequence[str]) -> NDArray[np.uint64]:
    found = bytes.fromhex("".join(value[:16] for value in hashes))
    return np.frombuffer(found, np.uint64)

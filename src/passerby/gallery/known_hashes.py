"""Which crops a gallery has, known without asking the table each time."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.gallery.following import Follower
from passerby.gallery.store import Mark, Store
from passerby.gallery.table_schema import hash_filter


class KnownHashes(Follower):
    """Tells which hashes are in a gallery; of most that are not it knows so by itself.

    It remembers the first 8 bytes of each; what looks known is asked of the table.

    Args:
        store: the gallery.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._beginnings = np.empty(0, np.uint64)

    def among(self, hashes: Sequence[str]) -> set[str]:
        """Return those of these hashes that are in the gallery now.

        Raises:
            InputError: one is not a hash, or a file of the gallery is damaged.
        """
        if not hashes:
            return set()
        with self._in_step():
            perhaps = np.isin(_beginnings(hashes), self._beginnings)
        asked = [value for value, known in zip(hashes, perhaps, strict=True) if known]
        if not asked:
            return set()
        query = self._store.query(["hash"], hash_filter(asked))
        return set(self._store.read(query).column("hash").to_pylist())

    @property
    def _columns(self) -> Sequence[str]:
        return ["hash"]

    def _add(self, rows: pa.Table) -> None:
        mine = _beginnings(rows.column("hash").to_pylist())
        self._beginnings = np.concatenate([self._beginnings, mine])

    def _anew(self, before: Mark | None) -> None:
        self._forget()
        self._add(self._view.read(self._view.query(["hash"])))

    def _forget(self) -> None:
        self._beginnings = np.empty(0, np.uint64)


def _beginnings(hashes: Sequence[str]) -> NDArray[np.uint64]:
    found = bytes.fromhex("".join(value[:16] for value in hashes))
    return np.frombuffer(found, np.uint64)

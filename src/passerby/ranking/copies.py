"""Files that are queries and lie in the gallery too, byte for byte, under other names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.inference.leakage import hash_files
from passerby.ranking.ranking import Ranking


@dataclass(frozen=True)
class CopyHashes:
    """What tells copies of the queries' files.

    Attributes:
        queries, gallery: hashes of their files, uint64.
    """

    queries: NDArray[np.uint64]
    gallery: NDArray[np.uint64]

    @property
    def most(self) -> int:
        """How many copies of one query the gallery holds at most."""
        shared = self.gallery[np.isin(self.gallery, self.queries)]
        return int(np.unique(shared, return_counts=True)[1].max(initial=0))

    def mask(self, ranking: Ranking) -> NDArray[np.bool_]:
        """Tell which answers are copies of their query, bool, in the order of `ranking.rows`."""
        owners = np.repeat(np.arange(len(ranking)), np.diff(ranking.starts))
        return self.gallery[ranking.rows] == self.queries[owners]


def find_copy_hashes(queries: Crops, gallery: Crops) -> CopyHashes:
    """Hash the files of queries and gallery.

    Raises:
        InputError: a file cannot be read.
    """
    return CopyHashes(hash_files(queries), hash_files(gallery))


def find_copies(queries: Crops, gallery: Crops) -> list[int]:
    """Return the rows of the queries of which a copy lies in the gallery under another name.

    Raises:
        InputError: a file cannot be read.
    """
    hashes = find_copy_hashes(queries, gallery)
    itself = {path.absolute() for path in gallery.paths}
    others = np.array([path.absolute() not in itself for path in queries.paths], np.bool_)
    return np.flatnonzero(np.isin(hashes.queries, hashes.gallery) & others).tolist()

"""Queries that lie in the gallery too: the crop itself, or its file, byte for byte."""

import hashlib
from collections.abc import Hashable
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
        queries, gallery: hashes of their files and boxes, uint64.
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
    """Hash the files of queries and gallery, with the boxes of those that have one.

    Raises:
        InputError: a file cannot be read.
    """
    return CopyHashes(_hash_crops(queries), _hash_crops(gallery))


def identify(crops: Crops) -> list[Hashable]:
    """Return what is equal for a crop of one table and the same crop of another.

    Images in memory have no files, and their names may repeat: they are told by the array.
    """
    return list(crops.keys) if crops.images is None else [id(image) for image in crops.images]


def find_copies(queries: Crops, gallery: Crops) -> list[int]:
    """Return the rows of the queries of which a copy lies in the gallery under another name.

    Raises:
        InputError: a file cannot be read.
    """
    hashes = find_copy_hashes(queries, gallery)
    itself = set(identify(gallery))
    others = np.array([crop not in itself for crop in identify(queries)], np.bool_)
    return np.flatnonzero(np.isin(hashes.queries, hashes.gallery) & others).tolist()


def _hash_crops(crops: Crops) -> NDArray[np.uint64]:
    hashes = hash_files(crops)
    if crops.box is None:
        return hashes
    # the other people of a frame are not copies of the query
    for row in np.flatnonzero(crops.box[:, 2] > 0):
        digest = hashlib.sha256(hashes[row].tobytes() + crops.box[row].tobytes()).digest()
        hashes[row] = int.from_bytes(digest[:8], "little")
    return hashes

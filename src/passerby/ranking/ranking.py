"""The answer to queries: for each, gallery crops in order with their distances."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.inference.embeddings import import_pandas

if TYPE_CHECKING:
    import pandas as pd

GAP_AMONG = 50
"""The largest gap is looked for among so many of the nearest crops."""


@dataclass(frozen=True)
class Ranking:
    """For each of Q queries gallery crops, nearest first: the best ones, an answer set, or all.

    Attributes:
        queries, gallery: the crops.
        starts: where each query's answers begin in `rows` and `distances`, int64, shape (Q + 1,).
        rows: rows of the gallery, int64; no row twice for a query.
        distances: float32, the same shape; not falling within a query.
    """

    queries: Crops
    gallery: Crops
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    distances: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.starts.shape != (len(self.queries) + 1,) or self.rows.shape != self.distances.shape:
            raise ValueError("starts must have one more entry than queries; rows go with distances")
        if self.starts[0] != 0 or self.starts[-1] != len(self.rows) or (self._counts < 0).any():
            raise ValueError("starts must rise from 0 to the number of rows")
        if self.rows.size and not 0 <= self.rows.min() <= self.rows.max() < len(self.gallery):
            raise ValueError("rows must be rows of the gallery")
        owner = np.repeat(np.arange(len(self.queries)), self._counts)
        within = owner[1:] == owner[:-1]
        if (within & ~(self.distances[1:] >= self.distances[:-1])).any():
            raise ValueError("distances must not fall within a query")
        if len(np.unique(owner * len(self.gallery) + self.rows)) != len(self.rows):
            raise ValueError("a query has a gallery crop twice")

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, query: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the gallery rows of one query, nearest first, and their distances."""
        query = range(len(self))[query]
        part = slice(self.starts[query], self.starts[query + 1])
        return self.rows[part], self.distances[part]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return (self[query] for query in range(len(self)))

    @property
    def _counts(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def within(self, threshold: float) -> "Ranking":
        """Return the answer sets: of each query the crops at most `threshold` away."""
        return self._keeping(self.distances <= np.float64(threshold))

    def top(self, count: int) -> "Ranking":
        """Return the nearest `count` crops of each query."""
        places = np.arange(len(self.rows)) - np.repeat(self.starts[:-1], self._counts)
        return self._keeping(places < count)

    def before_gap(self, among: int = GAP_AMONG) -> "Ranking":
        """Return of each query the crops before the largest gap between neighbouring distances.

        Args:
            among: how many of the nearest crops are looked at; without a gap all are kept.
        """
        keep = np.zeros(len(self.rows), np.bool_)
        for start, (_, distances) in zip(self.starts, self, strict=False):
            gaps = np.diff(distances[:among])
            limit = distances[gaps.argmax()] if gaps.any() else np.inf
            keep[start : start + len(distances)] = distances <= limit
        return self._keeping(keep)

    def without(self, left_out: NDArray[np.bool_]) -> "Ranking":
        """Return the same answers but some, bool, in the order of `rows`."""
        return self._keeping(~left_out)

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame: query, rank from 1 on, answer and distance, a row an answer.

        Raises:
            InputError: pandas is not installed.
        """
        counts = self._counts
        places = np.arange(len(self.rows)) - np.repeat(self.starts[:-1], counts)
        asked, offered = self.queries.addresses, self.gallery.addresses
        return import_pandas().DataFrame(
            {
                "query": [asked[i] for i in np.repeat(np.arange(len(self)), counts)],
                "rank": places + 1,
                "answer": [offered[row] for row in self.rows],
                "distance": self.distances,
            }
        )

    def _keeping(self, keep: NDArray[np.bool_]) -> "Ranking":
        before = np.concatenate([[0], np.cumsum(keep)])
        return Ranking(
            self.queries, self.gallery, before[self.starts], self.rows[keep], self.distances[keep]
        )

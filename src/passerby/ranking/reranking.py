"""k-reciprocal re-ranking: crops that have the same neighbours move nearer to each other.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. It looks
at all queries and the whole gallery at once, so its figures are not those of a single search.

Only neighbours are kept, never a matrix of all pairs: memory grows with the number of crops.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.ranking.pairwise import closeness

_ROWS = 512
"""Crops whose neighbourhoods are looked at together."""

_STRETCH = 64


@dataclass(frozen=True)
class Reranking:
    """How far neighbourhoods reach, and what they count; defaults are those of the paper.

    Attributes:
        k1: neighbours that may be k-reciprocal.
        k2: neighbours, the crop itself among them, over which neighbourhoods are averaged.
        share: λ, the original distance's share of the result, in [0, 1].
    """

    k1: int = 20
    k2: int = 6
    share: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1:
            raise InputError(f"k1 is {self.k1} and k2 {self.k2}: choose at least 1 for both.")
        if not 0 <= self.share <= 1:
            raise InputError(f"The original distance's share is {self.share}: choose from 0 to 1.")

    def blocks(
        self,
        queries: NDArray[np.float32],
        gallery: NDArray[np.float32],
        ignored: NDArray[np.bool_] | None = None,
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield re-ranked distances of a block of queries to the whole gallery.

        They are (1 − λ) d_J + λ d² / max d² (eq. 12), between 0 and 1, where d_J is the Jaccard
        distance of the neighbourhoods and the maximum is over all crops, for each query. As in the
        authors' code, distances are squared once, and a neighbour's own neighbours are taken in if
        *more* than two thirds of them are neighbours already (eq. 5 has "at least").

        Args:
            queries: signatures, float32, shape (Q, S).
            gallery: signatures, float32, shape (G, S).
            ignored: gallery crops that do not count, shape (G,): they are nobody's neighbours and
                infinitely far.

        Yields:
            The block's first query, and float32 of shape (queries, G).
        """
        searched = np.arange(len(gallery)) if ignored is None else np.flatnonzero(~ignored)
        crops = np.concatenate([queries, gallery[searched]])
        neighbours = _Neighbours.of(crops, max(self.k1 + 1, self.k2))
        encoded = _neighbourhoods(crops, neighbours, self.k1, self.k2)
        of_gallery = encoded.transpose(len(queries))
        squares = np.einsum("qs,qs->q", queries, queries)
        for start, values in closeness(queries, crops[len(queries) :]):
            block = np.full((len(values), len(gallery)), np.inf, np.float32)
            for number, row in enumerate(values):
                query = start + number
                original = (row + squares[query]) / neighbours.farthest[query]
                jaccard = _jaccard_distances(encoded.row(query), of_gallery, len(searched))
                block[number, searched] = (1 - self.share) * jaccard + self.share * original
            yield start, block


def jaccard_neighbours(
    crops: NDArray[np.float32], radius: float, k1: int = 30, k2: int = 6
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield for each crop those whose neighbourhoods are like its own, itself among them.

    Args:
        crops: signatures, float32, shape (N, S).
        radius: largest Jaccard distance of the neighbourhoods (eq. 10), in [0, 1).
        k1, k2: as in `Reranking`; defaults as in Ge et al., "Self-paced Contrastive Learning with
            Hybrid Memory for Domain Adaptive Object Re-ID", NeurIPS 2020.

    Yields:
        Rows of `crops`, ascending, and their distances.
    """
    neighbours = _Neighbours.of(crops, max(k1 + 1, k2))
    encoded = _neighbourhoods(crops, neighbours, k1, k2)
    columns = encoded.transpose(0)
    for row in range(len(crops)):
        distances = _jaccard_distances(encoded.row(row), columns, len(crops))
        near = np.flatnonzero(distances <= radius)
        yield near, distances[near]


@dataclass(frozen=True)
class _Neighbours:
    """The nearest crops of each of N crops.

    Attributes:
        rows: nearest first, the crop itself among them, int32, shape (N, k).
        farthest: largest squared distance of each crop to any other, float32, shape (N,).
    """

    rows: NDArray[np.int32]
    farthest: NDArray[np.float32]

    @classmethod
    def of(cls, crops: NDArray[np.float32], count: int) -> "_Neighbours":
        count = min(count, len(crops))
        rows = np.empty((len(crops), count), np.int32)
        farthest = np.einsum("ns,ns->n", crops, crops)
        for start, block in closeness(crops, crops):
            stop = start + len(block)
            rows[start:stop] = _nearest(block, count)
            farthest[start:stop] += block.max(axis=1)
        # where all crops are equal, all distances are 0
        return cls(rows, np.maximum(farthest, np.finfo(np.float32).tiny))


def _nearest(block: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return each row's nearest columns, of equally near ones the first."""
    # the smallest values of stretches that are at least as many as are wanted: the last of so many
    # minima is a limit that the wanted values cannot exceed, and quicker to find than they are
    width = max(1, min(_STRETCH, block.shape[1] // count))
    stretches = block[:, : block.shape[1] // width * width].reshape(len(block), -1, width)
    limit = np.partition(stretches.min(axis=2), count - 1, axis=1)[:, count - 1 : count]
    rows, columns = np.divmod(np.flatnonzero(block <= limit), block.shape[1])
    order = np.lexsort((columns, block[rows, columns], rows))
    starts = np.searchsorted(rows, np.arange(len(block)))
    return columns[order[starts[:, None] + np.arange(count)]]


@dataclass(frozen=True)
class _SparseRows:
    """A matrix of which each row has few values other than 0.

    Attributes:
        starts: where each row begins, int64, shape (rows + 1,).
        columns, values: of all rows, one after the other, int32 and float32.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def stack(cls, parts: list["_SparseRows"]) -> "_SparseRows":
        counts = np.concatenate([np.diff(part.starts) for part in parts])
        return cls(
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([part.columns for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def row(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        part = slice(self.starts[number], self.starts[number + 1])
        return self.columns[part], self.values[part]

    def places(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the values of the rows stand, row after row, and how many each has."""
        counts = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(counts)
        return np.arange(counts.sum()) + np.repeat(
            self.starts[rows] - (ends - counts), counts
        ), counts

    def transpose(self, first: int) -> "_SparseRows":
        """Return the transpose of the rows from the first on."""
        begin = self.starts[first]
        columns = self.columns[begin:]
        order = np.argsort(columns, kind="stable")
        rows = np.repeat(np.arange(len(self.starts) - 1 - first), np.diff(self.starts[first:]))
        starts = np.searchsorted(columns[order], np.arange(len(self.starts)))
        return _SparseRows(starts, rows[order].astype(np.int32), self.values[begin:][order])


def _neighbourhoods(
    crops: NDArray[np.float32], neighbours: _Neighbours, k1: int, k2: int
) -> _SparseRows:
    """Return each crop's weights of the crops around it, averaged over its nearest (eq. 11)."""
    encoded = _k_reciprocal_encoding(crops, neighbours, k1)
    return _averaged(encoded, neighbours.rows[:, :k2])


def _k_reciprocal_encoding(
    crops: NDArray[np.float32], neighbours: _Neighbours, k1: int
) -> _SparseRows:
    """Return for each crop the weights of its k-reciprocal neighbours, which sum to 1 (eq. 7)."""
    near = neighbours.rows[:, : k1 + 1]
    half = near[:, : int(np.around(k1 / 2)) + 1]
    reciprocal, half_reciprocal = _reciprocal(near), _reciprocal(half)
    squares = np.einsum("ns,ns->n", crops, crops)
    parts = []
    for start in range(0, len(near), _ROWS):
        mine, counts = near[start : start + _ROWS], reciprocal[start : start + _ROWS]
        number = np.arange(len(mine))[:, None]
        taken = np.zeros((len(mine), len(near)), np.bool_)
        taken[np.broadcast_to(number, mine.shape)[counts], mine[counts]] = True
        # the neighbours' own neighbours, half as many (eq. 5)
        theirs, known = half[mine], half_reciprocal[mine]
        shared = (taken[number[..., None], theirs] & known).sum(axis=2)
        accepted = counts & (3 * shared > 2 * known.sum(axis=2))
        added = known & accepted[..., None]
        taken[np.broadcast_to(number[..., None], added.shape)[added], theirs[added]] = True
        rows, columns = np.divmod(np.flatnonzero(taken), len(near))
        own = rows + start
        products = np.einsum("ps,ps->p", crops[own], crops[columns])
        distances = (squares[own] + squares[columns] - 2 * products) / neighbours.farthest[own]
        weights = np.exp(-distances)
        weights /= np.bincount(rows, weights)[rows]
        starts = np.searchsorted(rows, np.arange(len(mine) + 1))
        parts.append(_SparseRows(starts, columns.astype(np.int32), weights.astype(np.float32)))
    return _SparseRows.stack(parts)


def _reciprocal(near: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which neighbours have the crop among their own, shape (N, k)."""
    found = np.empty(near.shape, np.bool_)
    for start in range(0, len(near), _ROWS):
        mine = near[start : start + _ROWS]
        own = np.arange(start, start + len(mine))[:, None, None]
        found[start : start + _ROWS] = (near[mine] == own).any(axis=2)
    return found


def _averaged(encoded: _SparseRows, near: NDArray[np.int32]) -> _SparseRows:
    """Return each crop's mean of its nearest crops' rows (eq. 11)."""
    parts = []
    for start in range(0, len(near), _ROWS):
        mine = near[start : start + _ROWS]
        places, counts = encoded.places(mine.ravel())
        owner = np.repeat(np.repeat(np.arange(len(mine)), mine.shape[1]), counts)
        keys = owner * len(near) + encoded.columns[places]
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], encoded.values[places[order]]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        rows, columns = np.divmod(keys[firsts], len(near))
        means = np.add.reduceat(values, firsts) / mine.shape[1]
        starts = np.searchsorted(rows, np.arange(len(mine) + 1))
        parts.append(_SparseRows(starts, columns.astype(np.int32), means))
    return _SparseRows.stack(parts)


def _jaccard_distances(
    query: tuple[NDArray[np.int32], NDArray[np.float32]], of_gallery: _SparseRows, gallery: int
) -> NDArray[np.float32]:
    """Return 1 − Σ min / Σ max of one crop's row and each of the gallery's (eq. 10).

    Args:
        query: columns and values of the row.
        of_gallery: the gallery's rows, transposed.
        gallery: how many crops it has.
    """
    columns, values = query
    places, counts = of_gallery.places(columns)
    smaller = np.minimum(np.repeat(values, counts), of_gallery.values[places])
    shared = np.bincount(of_gallery.columns[places], smaller, minlength=gallery)
    # rows sum to 1, so the larger of both to 2 less what they share; rounding may exceed that
    return np.maximum(1 - shared / (2 - shared), 0).astype(np.float32)

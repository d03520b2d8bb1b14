"""Distances of all queries to all of a gallery, a block of queries at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings

BLOCK_VALUES = 16_000_000
"""Distances held at once, 64 MB of float32, as long as enough queries fit into it."""

_LEAST_ROWS = 128
"""With fewer queries at once the matrix product reads the gallery too often to be fast."""

_TILE_ROWS, _TILE_COLUMNS = 32, 64
"""Whole tiles of the matrix product, for all that BLAS libraries use."""


def check_comparable(queries: Embeddings, gallery: Embeddings) -> None:
    """Check that two sets of embeddings can be compared.

    Raises:
        InputError: they were embedded differently, or one of them is empty.
    """
    if not len(queries) or not len(gallery):
        which = "query" if not len(queries) else "gallery"
        raise InputError(f"There are no {which} crops: add some.")
    if queries.schema != gallery.schema:
        raise InputError(
            "The queries and the gallery have different attributes: embed both with one model."
        )
    if queries.model != gallery.model:
        raise InputError(
            f"The queries were embedded with the model {queries.model[:12]}…, the gallery with "
            f"{gallery.model[:12]}…: embed both with one model."
        )
    if queries.flip != gallery.flip:
        averaged = "queries" if queries.flip else "gallery crops"
        raise InputError(
            f"Only the {averaged} were averaged with their mirror images: embed both alike."
        )


def closeness(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    ignored: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield |g|² − 2 q·g for a block of queries and the whole gallery: it orders like distances.

    Equal crops get equal values, wherever they stand: matrix products round the last rows and
    columns differently, so both are padded to whole tiles; some processors' round within a tile
    too, so equal crops take the first one's values. The gallery itself is not copied.

    Args:
        queries: signatures, float32, shape (Q, S).
        gallery: signatures, float32, shape (G, S).
        ignored: gallery crops that do not count, shape (G,); they are infinitely far.

    Yields:
        The block's first query, and float32 of shape (queries, G), overwritten by the next block.
    """
    count = len(gallery)
    whole = count - count % _TILE_COLUMNS
    last = np.zeros((_TILE_COLUMNS, gallery.shape[1]), np.float32)
    last[: count - whole] = gallery[whole:]
    twins, originals = _twins(gallery)
    squares = np.einsum("gs,gs->g", gallery, gallery)
    if ignored is not None:
        squares[ignored] = np.inf
    rows = np.zeros((_whole(len(queries), _TILE_ROWS), queries.shape[1]), np.float32)
    rows[: len(queries)] = -2 * queries
    size = _whole(BLOCK_VALUES // max(1, count), _TILE_ROWS)
    size = min(len(rows), max(size, _LEAST_ROWS))
    block = np.empty((size, count), np.float32)
    for start in range(0, len(queries), size):
        part = rows[start : start + size]
        values = block[: len(part)]
        np.matmul(part, gallery[:whole].T, out=values[:, :whole])
        values[:, whole:] = np.matmul(part, last.T)[:, : count - whole]
        if len(twins):
            values[:, twins] = values[:, originals]
        values += squares
        yield start, values[: len(queries) - start]


def to_distances(closeness: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn one query's values of `closeness` into Euclidean distances."""
    return np.sqrt(np.maximum(closeness + np.dot(query, query), 0))


def _twins(gallery: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the crops that equal an earlier one, and the first crop that each equals."""
    # einsum, unlike a matrix product, treats all rows alike; few unequal ones share a value
    direction = np.random.default_rng(0).standard_normal(gallery.shape[1], np.float32)
    values = np.einsum("gs,s->g", gallery, direction)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[which] > 1)
    hashes = np.array([hash(gallery[row].tobytes()) for row in suspects], np.int64)
    _, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
    originals = suspects[firsts[which]]
    repeated = originals != suspects
    return suspects[repeated], originals[repeated]


def _whole(count: int, tile: int) -> int:
    """Return how many make whole tiles, one at least."""
    return max(1, -(-count // tile)) * tile

"""Finding the gallery crops nearest to each query."""

from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.ranking.copies import identify
from passerby.ranking.distance import Distance
from passerby.ranking.pairwise import check_comparable, closeness, to_distances
from passerby.ranking.ranking import Ranking


def rank(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance | None = None,
    *,
    top_k: int | None = None,
    within: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Rank a gallery for each query, nearest first; of equally near crops the earlier row first.

    A crop is not an answer to itself: the query's own file, or the same box of it, is left out.
    Only a block of distances is held at a time; the answer itself grows with `top_k` or `within`.

    Args:
        queries, gallery: embedded with one model.
        distance: between their crops; the normalised Euclidean distance of the embeddings if left
            out.
        top_k: keep the nearest so many; all if left out.
        within: keep the crops at most so far away; no limit if left out.
        progress: called with (queries done, all queries).

    Raises:
        InputError: the two cannot be compared, one is empty, or a value is not a number.
    """
    check_comparable(queries, gallery)
    if within is not None and np.isnan(within):
        raise InputError("The largest distance of an answer is not a number: give one.")
    if top_k is not None and top_k < 1:
        raise InputError(f"The nearest {top_k} crops cannot be shown: ask for at least 1.")
    distance = distance or Distance(features="embedding")
    wanted, offered = distance.signatures(queries), distance.signatures(gallery)
    rows: list[NDArray[np.int64]] = []
    distances: list[NDArray[np.float32]] = []
    places: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row, crop in enumerate(identify(gallery.crops)):
        places[crop].append(row)
    itself = [places.get(crop, []) for crop in identify(queries.crops)]
    for start, block in closeness(wanted, offered):
        for number, values in enumerate(block, start):
            away = to_distances(values, wanted[number])
            away[itself[number]] = np.inf
            found = _nearest(away, top_k, within)
            rows.append(found[0])
            distances.append(found[1])
        if progress:
            progress(start + len(block), len(wanted))
    starts = np.cumsum([0, *map(len, rows)])
    return Ranking(
        queries.crops, gallery.crops, starts, np.concatenate(rows), np.concatenate(distances)
    )


def _nearest(
    distances: NDArray[np.float32], top_k: int | None, within: float | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = np.flatnonzero(distances <= np.float64(np.inf if within is None else within))
    rows = rows[np.isfinite(distances[rows])]
    if top_k is not None and top_k < len(rows):
        limit = np.partition(distances[rows], top_k - 1)[top_k - 1]
        rows = rows[distances[rows] <= limit]
    order = np.argsort(distances[rows], kind="stable")[:top_k]
    return rows[order], distances[rows[order]]

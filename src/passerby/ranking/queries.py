"""Drawing queries: one random crop of each person, or of each person and camera."""

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import NOBODY_CODE
from passerby.errors import InputError


def draw_queries(
    persons: NDArray[np.int64], cameras: NDArray[np.int64] | None = None, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide crops into queries and gallery.

    Of a person of whom every crop would ask, one stays behind.

    Args:
        persons: codes of N crops, int64, shape (N,); distractors and junk never ask.
        cameras: int64, shape (N,): one query of each person and camera; one of each person if
            left out.
        seed: the same seed draws the same queries.

    Returns:
        Rows of the queries, ordered by person, and rows of the gallery.

    Raises:
        InputError: nobody appears in two crops.
    """
    by = np.zeros_like(persons) if cameras is None else cameras
    shuffled = np.random.default_rng(seed).permutation(len(persons))
    keys = np.stack([persons, by], axis=1)[shuffled]
    groups, first = np.unique(keys, axis=0, return_index=True)
    queries = shuffled[first[groups[:, 0] > NOBODY_CODE]]
    queries = queries[~_last_without_others(persons, queries)]
    if not len(queries):
        raise InputError(
            "Nobody appears in two crops, so there is nobody to find again: give crops of "
            "persons seen several times."
        )
    return queries, np.setdiff1d(np.arange(len(persons)), queries)


def _last_without_others(
    persons: NDArray[np.int64], queries: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which queries would leave no crop of their person in the gallery, the last of each."""
    ids, crops = np.unique(persons, return_counts=True)
    asked = persons[queries]
    asking = np.array([np.count_nonzero(asked == person) for person in ids])
    nobody_left = np.isin(asked, ids[crops == asking])
    # queries are ordered by person
    last = np.ones(len(asked), np.bool_)
    last[:-1] = asked[1:] != asked[:-1]
    return nobody_left & last

"""Intervals from resampling persons: crops of one person are not independent."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95

_BLOCK_VALUES = 16_000_000
"""Weights held at once, 128 MB, however many crops without a person there are."""


def person_weights(persons: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Draw persons with replacement.

    Args:
        persons: how many there are.
        resamples: how often as many are drawn.
        seed: of the draws.

    Returns:
        How often each person was drawn, int64, shape (resamples, persons).
    """
    uniform = np.full(persons, 1 / persons)
    return np.random.default_rng(seed).multinomial(persons, uniform, size=resamples)


def weight_blocks(persons: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield what `person_weights` returns, a block of resamples at a time."""
    uniform = np.full(persons, 1 / persons)
    generator = np.random.default_rng(seed)
    size = max(1, _BLOCK_VALUES // persons)
    for start in range(0, resamples, size):
        yield generator.multinomial(persons, uniform, size=min(size, resamples - start))


def mean_intervals(
    values: NDArray[np.float64], persons: NDArray[np.int64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return 95 % intervals over persons of the means over crops, shape (2, columns).

    Args:
        values: of each crop, shape (N, columns).
        persons: whom each shows, shape (N,).
        resamples, seed: as in `person_weights`.
    """
    ids, owner = np.unique(persons, return_inverse=True)
    sums = np.zeros((len(ids), values.shape[1]))
    np.add.at(sums, owner, values)
    counts = np.bincount(owner)
    weights = person_weights(len(ids), resamples, seed)
    return interval((weights @ sums) / (weights @ counts)[:, None])


def interval(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle 95 % of what the resamples gave, shape (2, …), low before high.

    Args:
        figures: of each resample, shape (resamples, …).
    """
    tail = (1 - LEVEL) / 2
    return np.quantile(figures, [tail, 1 - tail], axis=0)

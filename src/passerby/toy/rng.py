"""Random draws built on `Generator.random` alone, whose stream is the same in every NumPy."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def source(*key: int) -> np.random.Generator:
    """Return an independent source of chance for each key, such as (seed, stream, person)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number drawn evenly from `low` to `high`."""
    return low + (high - low) * rng.random()


def happens(rng: np.random.Generator, probability: float) -> bool:
    """Tell whether an event of this probability takes place."""
    return rng.random() < probability


def one_of(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """Return one of the items, each as likely as the others."""
    return items[int(rng.random() * len(items))]


def weighted(rng: np.random.Generator, weights: Mapping[Item, float]) -> Item:
    """Return one of the keys, each as likely as its weight; the weights need not sum to 1."""
    ends = list(accumulate(weights.values()))
    # Rounding may put the draw at the very end, beyond the last key.
    place = min(bisect_right(ends, rng.random() * ends[-1]), len(ends) - 1)
    return list(weights)[place]


def shuffled(rng: np.random.Generator, items: Sequence[Item]) -> list[Item]:
    """Return the items in a random order."""
    return [items[i] for i in np.argsort(rng.random(len(items)), kind="stable")]

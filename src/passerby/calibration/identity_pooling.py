"""What a person looks like, from all crops of the person: what hides in one shows in another."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.calibration import Calibration
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance, columns
from passerby.ranking.pairwise import closeness

_HALVINGS = 50


def pool_attributes(people: Embeddings, distance: Distance, calibration: Calibration) -> Embeddings:
    """Average attributes over all crops, by the probability that two crops show one person.

    The crop itself counts fully. How many crops a person has is not taken from the calibration but
    estimated from the distances (`share_of_pairs`), so that persons seen once hardly change. Like
    re-ranking it looks at all crops at once: a crop's answer depends on which others there are.
    All pairs are looked at twice, a block of them at a time.

    Args:
        people: of N crops.
        distance: between crops.
        calibration: of the distance.

    Returns:
        The same crops and vectors; attributes averaged, float32, shape (N, attributes).

    Raises:
        InputError: an embedding or a probability is not a number.
    """
    attributes = columns(people, "attributes")
    signatures = distance.signatures(people)
    ratios = calibration.likelihood_ratios
    pairs = np.zeros(len(ratios), np.int64)
    for start, intervals in _intervals(signatures, calibration):
        itself = np.diagonal(intervals, start)
        pairs += np.bincount(intervals.ravel(), minlength=len(ratios))
        pairs -= np.bincount(itself, minlength=len(ratios))
    share = share_of_pairs(ratios, pairs / 2)
    same = (share * ratios / (share * ratios + 1 - share)).astype(np.float32)
    averaged = np.empty_like(attributes)
    for start, intervals in _intervals(signatures, calibration):
        weights = same[intervals]
        rows = np.arange(len(weights))
        weights[rows, start + rows] = 1
        averaged[start + rows] = weights @ attributes / weights.sum(axis=1, keepdims=True)
    # rounding may exceed 1, which distances of attributes refuse
    return replace(people, attributes=np.minimum(averaged, 1))


def _intervals(
    signatures: NDArray[np.float32], calibration: Calibration
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield between which of the calibration's distances a block of crops is from all crops.

    Yields:
        The block's first crop, and rows of `Calibration.likelihood_ratios`, shape (crops, N).
    """
    points = np.array(calibration.distances, np.float32)
    squares = np.einsum("ns,ns->n", signatures, signatures)[:, None]
    for start, block in closeness(signatures, signatures):
        away = np.sqrt(np.maximum(block + squares[start : start + len(block)], 0))
        yield start, np.searchsorted(points, away)


def share_of_pairs(ratios: NDArray[np.floating], counts: NDArray[np.floating]) -> float:
    """Return the most likely share of pairs that show one person, in [0, 1).

    It is the share π with the highest likelihood Σ n log(π r + 1 − π), to which the iteration of
    Saerens, Latinne and Decaestecker ("Adjusting the Outputs of a Classifier to New a Priori
    Probabilities", Neural Computation 2002) converges, slowly where π is small. One more pair is
    taken to show two persons: a few crops that are as near as strangers are then strangers.

    Args:
        ratios: how much likelier one person is than two, r, not negative, shape (K,).
        counts: pairs with each ratio, n, shape (K,).
    """
    gains = np.append(ratios, 0) - 1
    counts = np.append(counts, 1)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        # the slope falls with π
        rises = (counts * gains / (1 + share * gains)).sum() > 0
        low, high = (share, high) if rises else (low, share)
    return low

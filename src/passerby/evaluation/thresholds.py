"""Choosing decision thresholds on held-out training persons."""

import numpy as np
from numpy.typing import NDArray

from passerby.embedding.decision import Decision
from passerby.embedding.embeddings import Embeddings
from passerby.errors import InputError
from passerby.evaluation.attributes import evaluate_attributes
from passerby.evaluation.cross_fitting import halves


def best_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.bool_], beta: float = 1.0
) -> NDArray[np.float64]:
    """Choose for each attribute the threshold with the highest F-beta.

    Every midpoint between two neighbouring probabilities is tried; of equally good thresholds the
    one nearest to 0.5 wins. An attribute without a positive crop keeps 0.5.

    Args:
        probabilities: shape (N, attributes), of crops that no weight was trained on.
        labels: shape (N, attributes).
        beta: weight of recall against precision; 1 for F1.

    Returns:
        Thresholds for `probability >= threshold`, shape (attributes,).
    """
    return np.array(
        [_best(p, y, beta) for p, y in zip(probabilities.T, labels.T, strict=True)], np.float64
    )


def choose_decision(people: Embeddings) -> Decision:
    """Choose between group argmax and thresholds for each attribute.

    Thresholds chosen on few persons may be worse than none: on each half of the persons those of
    the other half are tried, and they are taken only if they have the higher macro F1.

    Args:
        people: of annotated crops of persons that the model was not trained on.

    Raises:
        InputError: the crops have no labels.
    """
    group = Decision("group")
    gains = [
        _macro_f1(half, _thresholds(other)) - _macro_f1(half, group)
        for half, other in halves(people)
    ]
    return _thresholds(people) if sum(gains) > 0 else group


def _thresholds(people: Embeddings) -> Decision:
    if people.crops.labels is None:
        raise InputError("These crops have no attribute annotations to choose by: add them.")
    thresholds = best_thresholds(people.attributes, people.crops.labels)
    return Decision("thresholds", tuple(thresholds.tolist()))


def _macro_f1(people: Embeddings, decision: Decision) -> float:
    return evaluate_attributes(people, decision, resamples=0).all["f1"]


def _best(scores: NDArray[np.floating], labels: NDArray[np.bool_], beta: float) -> float:
    positives = int(labels.sum())
    if not positives:
        return 0.5
    order = np.argsort(-scores, kind="stable")
    falling = scores[order].astype(np.float64)
    hits = np.cumsum(labels[order])
    returned = np.arange(1, len(falling) + 1)
    f_beta = (1 + beta**2) * hits / (beta**2 * positives + returned)

    # Equal scores cannot be separated: only the last crop of a tie is a possible cut.
    cuts = np.flatnonzero(falling > np.append(falling[1:], -1.0))
    following = np.append(falling[1:], 0.0)
    thresholds = (falling[cuts] + following[cuts]) / 2
    best = f_beta[cuts] >= f_beta[cuts].max() - 1e-12
    return float(min(thresholds[best], key=lambda threshold: abs(threshold - 0.5)))

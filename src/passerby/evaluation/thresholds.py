"""Choosing decision thresholds on held-out training persons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.cross_fitting import split_halves
from passerby.data.crops import owners
from passerby.errors import InputError
from passerby.evaluation.attributes import evaluate_attributes
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings


def best_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.floating], beta: float = 1.0
) -> NDArray[np.float64]:
    """Choose for each attribute the threshold with the highest F-beta.

    Every midpoint between two neighbouring probabilities is tried; of equally good thresholds the
    one nearest to 0.5 wins. An attribute without a positive crop keeps 0.5; crops whose label is
    unknown do not count.

    Args:
        probabilities: shape (N, attributes), of crops that no weight was trained on.
        labels: 1, 0 or NaN where unknown, shape (N, attributes).
        beta: weight of recall against precision; 1 for F1.

    Returns:
        Thresholds for `probability >= threshold`, shape (attributes,).
    """
    return np.array(
        [_best(p, y, beta) for p, y in zip(probabilities.T, labels.T, strict=True)], np.float64
    )


def choose_decision(people: Embeddings) -> Decision:
    """Choose between group argmax and thresholds for each attribute.

    Thresholds chosen on few persons may be worse than none: on each half of the persons (or of
    the crops, where nobody is known) those of the other half are tried, and they are taken only if
    they have the higher macro F1.

    Args:
        people: of annotated crops that the model was not trained on.

    Raises:
        InputError: the crops have no labels.
    """
    group = Decision("group")
    if people.crops.labels is None:
        raise InputError("These crops have no attribute annotations to choose by: add them.")
    people = people.of_rows(np.flatnonzero((~np.isnan(people.crops.labels)).any(axis=1)))
    owner = owners(people.crops)
    if len(np.unique(owner[owner >= 0])) < 2:
        return group
    gains = [
        _macro_f1(half, _thresholds_of([other])) - _macro_f1(half, group)
        for half, other in split_halves(people)
    ]
    return _thresholds_of([people]) if sum(gains) > 0 else group


def choose_decision_by_folds(folds: Sequence[Embeddings]) -> Decision:
    """Choose between group argmax and thresholds for each attribute.

    The thresholds of all other folds' persons are tried on each, and taken only if their macro F1
    is higher; then they are chosen on all folds together.

    Args:
        folds: as in `calibrate_by_folds`, with labels, two at least.

    Raises:
        InputError: there is one fold only, or it has no labels.
    """
    if len(folds) < 2:
        raise InputError("One fold cannot tell whether its thresholds hold: give two or more.")
    group = Decision("group")
    gains = [
        _macro_f1(fold, thresholds_of_others(folds, number)) - _macro_f1(fold, group)
        for number, fold in enumerate(folds)
    ]
    return _thresholds_of(folds) if sum(gains) > 0 else group


def thresholds_of_others(folds: Sequence[Embeddings], number: int) -> Decision:
    """Choose thresholds for one fold on the persons of the others who are not in it.

    Args:
        folds: as in `choose_decision_by_folds`.
        number: of the fold that the thresholds are to be tried on.

    Raises:
        InputError: nobody is left, or a fold has no labels.
    """
    tried = folds[number].crops.persons
    others = [
        fold.of_rows(~fold.crops.shows(tried)) for fold in (*folds[:number], *folds[number + 1 :])
    ]
    if not sum(map(len, others)):
        raise InputError(
            "All folds held out the same persons, so none can try the thresholds of the others: "
            "train folds with different data.seed."
        )
    return _thresholds_of(others)


def _thresholds_of(groups: Sequence[Embeddings]) -> Decision:
    """Choose thresholds on the crops of all groups together."""
    labels = [group.crops.labels for group in groups if group.crops.labels is not None]
    if len(labels) < len(groups):
        raise InputError("These crops have no attribute annotations to choose by: add them.")
    probabilities = np.concatenate([group.known_attributes for group in groups])
    found = best_thresholds(probabilities, np.concatenate(labels))
    return Decision("thresholds", tuple(found.tolist()))


def _macro_f1(people: Embeddings, decision: Decision) -> float:
    return evaluate_attributes(people, decision, resamples=0).macro["f1"]


def _best(scores: NDArray[np.floating], labels: NDArray[np.floating], beta: float) -> float:
    known = ~np.isnan(labels)
    scores, labels = scores[known], labels[known] >= 0.5
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

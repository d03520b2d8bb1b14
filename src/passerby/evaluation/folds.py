"""Calibrating a model that was trained on everybody, by models that were not.

Models of the same recipe, each trained without some of the persons (a *fold*), show how such a
model answers about strangers: what is measured on the persons whom each of them left out holds for
the model of all persons as well as one model resembles the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from passerby.data.crops import Crops
from passerby.embedding.decision import Decision
from passerby.embedding.embeddings import Embeddings
from passerby.embedding.model_info import ModelInfo, Task
from passerby.errors import InputError
from passerby.evaluation.attributes import evaluate_attributes
from passerby.evaluation.calibrate import (
    calibration_from,
    check_enough,
    constant,
    pair_distances,
    plain_distances,
)
from passerby.evaluation.cross_fitting import mean_ap, real_persons
from passerby.evaluation.held_out import is_training_data
from passerby.evaluation.thresholds import best_thresholds
from passerby.ranking.calibrated import CalibratedDistance
from passerby.ranking.calibration import Calibration
from passerby.ranking.distance import Distance


def calibrated_by_folds(
    folds: Sequence[Embeddings], tasks: Sequence[Task]
) -> tuple[CalibratedDistance, ...]:
    """Calibrate the plain distances on all folds together.

    Weighted and learned distances belong to one model and are left out.

    Args:
        folds: for each model, its embeddings of persons that it was not trained on.
        tasks: what the models were trained for.

    Returns:
        The distances with their calibrations, that with the highest mean mAP first.

    Raises:
        InputError: a fold has too few persons, or too few crops of them.
    """
    folds = [real_persons(fold) for fold in folds]
    for fold in folds:
        check_enough(fold.crops)

    def average(distance: Distance) -> float:
        return float(np.mean([mean_ap(fold, constant(distance)) for fold in folds]))

    return tuple(
        CalibratedDistance(distance=distance, calibration=calibration_by_folds(folds, distance))
        for distance in sorted(plain_distances(tasks), key=average, reverse=True)
    )


def check_fold(fold: ModelInfo, model: ModelInfo, crops: Crops, name: str) -> None:
    """Check that one model speaks for another: the same recipe, without some of the same persons.

    Args:
        fold: the model that held persons out.
        model: the one to be calibrated.
        crops: the data that the fold was trained on a part of.
        name: of the fold, for messages.

    Raises:
        InputError: it does not.
    """
    if _recipe(fold) != _recipe(model):
        raise InputError(f"{name} was trained by another recipe: train folds by the same one.")
    if not is_training_data(crops, fold):
        raise InputError(f"{name} was trained on other data: give the data of the folds.")
    if not fold.training.held_out_persons:
        raise InputError(
            f"{name} was trained on everybody: train folds with data.held_out_persons."
        )
    if set(fold.training.held_out_persons) & set(model.training.held_out_persons):
        raise InputError(
            f"{name} and {model.name} held out some of the same persons, on whom the model would "
            "be calibrated and evaluated: give folds of other persons, or leave them out."
        )


def _recipe(info: ModelInfo) -> Mapping[str, Any]:
    """Return what has to be equal: all but the choice of persons, the seed and the file names."""
    recipe = dict(info.training.recipe)
    network = {**recipe.pop("model", {}), "weights": ""}
    for key in ("data", "seed", "name"):
        recipe.pop(key, None)
    return {**recipe, "model": network}


def calibration_by_folds(folds: Sequence[Embeddings], distance: Distance) -> Calibration:
    """Measure a distance on the pairs within every fold.

    Args:
        folds: as in `calibrated_by_folds`, without distractors and junk.
        distance: one that needs no fitting.
    """
    pairs = [pair_distances(fold, distance) for fold in folds]
    return calibration_from(pairs, [fold.crops.known_persons for fold in folds])


def choose_decision_by_folds(folds: Sequence[Embeddings]) -> Decision:
    """Choose between group argmax and thresholds for each attribute.

    The thresholds of all other folds' persons are tried on each, and taken only if their macro F1
    is higher; then they are chosen on all folds together.

    Args:
        folds: as in `calibrated_by_folds`, with labels, two at least.

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
    return _thresholds(folds) if sum(gains) > 0 else group


def thresholds_of_others(folds: Sequence[Embeddings], number: int) -> Decision:
    """Choose thresholds for one fold on the persons of the others who are not in it.

    Args:
        folds: as in `choose_decision_by_folds`.
        number: of the fold that the thresholds are to be tried on.

    Raises:
        InputError: nobody is left, or a fold has no labels.
    """
    tried = folds[number].crops.person_ids
    others = [
        fold.of_rows(np.flatnonzero(~np.isin(fold.crops.known_persons, tried)))
        for fold in (*folds[:number], *folds[number + 1 :])
    ]
    if not sum(map(len, others)):
        raise InputError(
            "All folds held out the same persons, so none can try the thresholds of the others: "
            "train folds with different data.seed."
        )
    return _thresholds(others)


def _thresholds(folds: Sequence[Embeddings]) -> Decision:
    labels = [fold.crops.labels for fold in folds if fold.crops.labels is not None]
    if len(labels) < len(folds):
        raise InputError("These crops have no attribute annotations to choose by: add them.")
    probabilities = np.concatenate([fold.attributes for fold in folds])
    found = best_thresholds(probabilities, np.concatenate(labels))
    return Decision("thresholds", tuple(found.tolist()))


def _macro_f1(people: Embeddings, decision: Decision) -> float:
    return evaluate_attributes(people, decision, resamples=0).all["f1"]

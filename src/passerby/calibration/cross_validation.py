"""Calibrating a model that was trained on everybody, by models that were not.

Models of the same recipe, each trained without some of the persons (a *fold*), show how such a
model answers about strangers: what is measured on the persons whom each of them left out holds for
the model of all persons as well as one model resembles the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from passerby.calibration.calibration import Calibration
from passerby.calibration.cross_fitting import mean_ap, real_persons
from passerby.calibration.fitting import (
    Counted,
    Pairs,
    check_enough,
    constant,
    pair_distances,
    plain_distances,
    summarize_pairs,
    together,
)
from passerby.calibration.matcher import Matcher
from passerby.calibration.strangers import strangers
from passerby.data.crops import Crops, encode_persons
from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.inference.leakage import has_training_crops
from passerby.inference.model_info import ModelInfo, Task
from passerby.inference.runtime_model import RuntimeModel
from passerby.ranking.distance import Distance


def calibrate_by_folds(
    folds: Sequence[Embeddings], tasks: Sequence[Task], counted: Counted = "all"
) -> tuple[Matcher, ...]:
    """Calibrate the plain distances on all folds together.

    Weighted and learned distances belong to one model and are left out.

    Args:
        folds: for each model, its embeddings of persons that it was not trained on.
        tasks: what the models were trained for.
        counted: see `pair_distances`.

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
        Matcher(
            distance=distance,
            calibration=measure_calibration_by_folds(folds, distance, counted),
        )
        for distance in sorted(plain_distances(tasks), key=average, reverse=True)
    )


def check_fold(fold: RuntimeModel, model: ModelInfo, datasets: Sequence[Crops], name: str) -> None:
    """Check that one model speaks for another: the same recipe, without some of the same persons.

    Args:
        fold: the model that held persons out.
        model: the one to be calibrated.
        datasets: the data, some of which the fold was trained on.
        name: of the fold, for messages.

    Raises:
        InputError: it does not.
    """
    if _recipe(fold.info) != _recipe(model):
        raise InputError(f"{name} was trained by another recipe: train folds by the same one.")
    if (fold.info.schema_, fold.info.embedding_size) != (model.schema_, model.embedding_size):
        raise InputError(
            f"{name} answers other attributes, or embeddings of another length, than {model.name}: "
            "give folds of the same kind of data."
        )
    if not any(has_training_crops(crops, fold.seen) for crops in datasets):
        raise InputError(f"{name} was trained on other data: give the data of the folds.")
    if all(strangers(crops, fold.seen) is None for crops in datasets):
        raise InputError(
            f"{name} was trained on everybody: train folds with data.held_out_persons."
        )
    held_out = fold.info.training.held_out_persons
    theirs = model.training.held_out_persons
    if any(set(names) & set(theirs.get(dataset, ())) for dataset, names in held_out.items()):
        raise InputError(
            f"{name} and {model.name} held out some of the same persons, on whom the model would "
            "be calibrated and evaluated: give folds of other persons, or leave them out."
        )


_SHARES = {"epoch_crops": 0, "balance": 1.0}
"""What of a recipe's data decides how much is learned, and what silence means."""


def _recipe(info: ModelInfo) -> Mapping[str, Any]:
    """Return what has to be equal: all but the choice of persons, the seed and the file names."""
    recipe = dict(info.training.recipe)
    network = {**recipe.pop("model", {}), "weights": ""}
    data = recipe.pop("data", {})
    for key in ("seed", "name"):
        recipe.pop(key, None)
    shares = {key: data.get(key, usual) for key, usual in _SHARES.items()}
    return {**recipe, "model": network, "data": shares}


def measure_calibration_by_folds(
    folds: Sequence[Embeddings], distance: Distance, counted: Counted = "all"
) -> Calibration:
    """Measure a distance on the pairs within every fold; each dataset counts as much.

    Args:
        folds: as in `calibrate_by_folds`, each of one dataset, without distractors and junk.
        distance: one that needs no fitting.
        counted: see `pair_distances`.
    """
    pairs: dict[str, list[Pairs]] = {}
    for fold in folds:
        dataset = "" if fold.crops.dataset is None else str(fold.crops.dataset[0])
        pairs.setdefault(dataset, []).append(pair_distances(fold, distance, counted))
    persons = encode_persons(*(fold.crops for fold in folds))
    return summarize_pairs([together(some) for some in pairs.values()], persons, counted)

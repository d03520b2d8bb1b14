"""Whom a model can be calibrated on: persons of one or of several datasets whom it has not seen."""

import numpy as np

from passerby.data.crops import NOBODY_CODE, Crops
from passerby.inference.leakage import SeenFiles, find_known_crops

MOST_PERSONS = 200
"""Of one of several datasets, for each model: pairs of many more crops do not fit into memory."""


def strangers(crops: Crops, seen: SeenFiles) -> Crops | None:
    """Return a dataset's crops of persons on whom a model was neither trained nor calibrated.

    Args:
        crops: a dataset, of which the model may know everybody, some persons or nobody.
        seen: what the model has seen.

    Returns:
        None if the model knows all of its persons.
    """
    left = crops.person_codes > NOBODY_CODE
    for part in (seen.training, seen.unlabelled, seen.calibration):
        left &= ~find_known_crops(crops, part)
    return crops[left] if left.any() else None


def draw_persons(crops: Crops, count: int = MOST_PERSONS) -> Crops:
    """Return all crops of so many of the persons, drawn at random; always the same ones.

    Args:
        crops: of persons who are known.
        count: persons to be kept; all, if there are fewer.
    """
    codes = np.unique(crops.person_codes)
    chosen = np.random.default_rng(0).permutation(codes)[:count]
    return crops[np.isin(crops.person_codes, chosen)]

"""Measuring what distances mean, on persons that a model was not trained on.

Weighted and learned distances are fitted on one half of the persons and measured on the other, and
the other way round, so that none is measured on whom it was fitted on.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.calibration import Calibration
from passerby.calibration.cross_fitting import (
    Fit,
    mean_ap,
    real_persons,
    split_datasets,
    split_halves,
)
from passerby.calibration.fitted_distances import (
    best_ridge,
    best_share,
    fit_fused_distance,
    fit_learned_distance,
    fit_weighted_distance,
)
from passerby.calibration.matcher import Matcher
from passerby.data.crops import NOBODY_CODE, Crops
from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_info import Task
from passerby.ranking.distance import Distance

POINTS = 128
"""Points of a calibration along each of its two curves."""

Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Distances of pairs of crops of one person, and of pairs of two."""

Counted = Literal["all", "across"]

LEAST_PERSONS = 4
ENOUGH_PERSONS = 50


def calibrate_distances(
    people: Embeddings, tasks: Sequence[Task], counted: Counted = "all"
) -> tuple[Matcher, ...]:
    """Fit and calibrate the distances that a model file carries.

    Args:
        people: of crops of at least 4 persons that the model was not trained on, several of each;
            with labels for the weighted distance.
        tasks: what the model was trained for.
        counted: which pairs say what a distance means; see `pair_distances`.

    Returns:
        The distances with their calibrations, that with the highest mAP on these persons first.

    Raises:
        InputError: there are too few persons, or too few crops of them.
    """
    people = real_persons(people)
    check_enough(people.crops)
    fits = _fits(people, tasks)
    fits.sort(key=lambda fit: -mean_ap(people, fit))
    return tuple(
        Matcher(distance=fit(people), calibration=measure_calibration(people, fit, counted))
        for fit in fits
    )


def measure_calibration(people: Embeddings, fit: Fit, counted: Counted = "all") -> Calibration:
    """Measure how near crops of one person and of two persons are; each dataset counts as much.

    Args:
        people: of crops of at least 4 persons of each dataset that the model was not trained on.
        fit: makes the distance.
        counted: see `pair_distances`.

    Raises:
        InputError: there are too few persons or crops of them, nobody was seen by two cameras
            where that is asked for, or all crops are equally near.
    """
    check_enough(people.crops)
    people = real_persons(people)
    pairs: dict[str, list[Pairs]] = {}
    for half, other in split_halves(people):
        distance = fit(other)
        for dataset, theirs in split_datasets(half):
            pairs.setdefault(dataset, []).append(pair_distances(theirs, distance, counted))
    return summarize_pairs(
        [together(found) for found in pairs.values()], [people.crops.person_codes], counted
    )


def summarize_pairs(
    pairs: Sequence[Pairs], persons: Sequence[NDArray[np.int64]], counted: Counted = "all"
) -> Calibration:
    """Summarise the distances of pairs of crops.

    Args:
        pairs: of each dataset the distances of the pairs of crops of one person, and of two. Each
            dataset that has some of both counts as much, however many.
        persons: of groups of crops whom they show, in codes of `encode_persons` over all groups;
            these may share persons.
        counted: which pairs they are.

    Raises:
        InputError: all crops are equally near, or no dataset has pairs of both kinds.
    """
    counts = np.concatenate([np.unique(group, return_counts=True)[1] for group in persons])
    ascending = [
        (np.sort(same), np.sort(different))
        for same, different in pairs
        if same.size * different.size
    ]
    if not ascending and counted == "across":
        raise InputError(
            "Too few persons were seen by two cameras of one dataset to calibrate across cameras: "
            "calibrate on all pairs."
        )
    if not ascending:
        raise InputError(
            "No dataset has a pair of crops of one person and a pair of two persons, to measure "
            "distances on: calibrate on more persons."
        )
    # dense where a threshold may lie: evenly among the same, finer and finer among the different
    points = []
    for same, different in ascending:
        shares = np.concatenate([[0.0], np.geomspace(1 / len(different), 1, POINTS)])
        points += [np.quantile(same, np.linspace(0, 1, POINTS)), np.quantile(different, shares)]
    distances = np.unique(np.concatenate(points))
    if len(ascending) > 1:
        # as many as of one dataset
        distances = np.unique(np.quantile(distances, np.linspace(0, 1, 2 * POINTS)))
    if len(distances) < 2:
        raise InputError("The model finds all crops equal: train it further.")
    return Calibration(
        distances=tuple(distances.tolist()),
        same=_fraction_within([same for same, _ in ascending], distances),
        different=_fraction_within([different for _, different in ascending], distances),
        # of a crop drawn at random, so many others show its person
        crops_per_person=float((counts * (counts - 1)).sum() / counts.sum()),
        persons=len(np.unique(np.concatenate(persons))),
    )


def _fits(people: Embeddings, tasks: Sequence[Task]) -> list[Fit]:
    fits = [constant(distance) for distance in plain_distances(tasks)]
    if "attributes" in tasks:
        # one ridge, and one share, for both halves and the whole: they decide on the scale
        fits += [
            partial(fit_learned_distance, ridge=best_ridge(people)),
            partial(fit_fused_distance, share=best_share(people)),
            # labels of other attributes do not tell how well the model's are recognised
            *([fit_weighted_distance] if people.crops.schema == people.schema else []),
        ]
    return fits


def plain_distances(tasks: Sequence[Task]) -> list[Distance]:
    """Return the distances that need no fitting, for a model trained for these tasks."""
    distances = [Distance(features="embedding")]
    if "attributes" in tasks:
        distances += [
            Distance(features="logits"),
            Distance(features="logits", metric="euclidean"),
            Distance(features="attributes", metric="euclidean"),
        ]
    return distances


def constant(distance: Distance) -> Fit:
    """Return a fit that needs no persons."""
    return lambda people: distance


def check_enough(crops: Crops, title: str = "") -> None:
    """Check that distances can be calibrated on these persons.

    Args:
        crops: of one dataset, or of several together.
        title: of one of several datasets, for the message.

    Raises:
        InputError: there are too few of them, or too few crops.
    """
    if too_few(crops):
        where = f"{title}: there" if title else "There"
        raise InputError(
            f"{where} are {len(crops)} crops of {crops.person_count} persons, too few to calibrate "
            f"distances: give several crops of each of at least {LEAST_PERSONS} persons, and "
            f"of {ENOUGH_PERSONS} for figures to rely on."
        )


def too_few(crops: Crops) -> bool:
    """Tell whether there are too few persons to calibrate distances on, or too few crops."""
    codes = crops.person_codes
    counts = np.unique(codes[codes > NOBODY_CODE], return_counts=True)[1]
    halves = (counts[::2], counts[1::2])
    return any(len(half) < LEAST_PERSONS // 2 or half.max() < 2 for half in halves)


def pair_distances(people: Embeddings, distance: Distance, counted: Counted = "all") -> Pairs:
    """Return the distances of pairs of crops of one person, and of two.

    Args:
        people: crops of persons.
        distance: between them.
        counted: "all" pairs within a dataset; or those "across" its cameras. Two crops by one
            camera hardly differ, and people of two datasets are never mistaken for each other, so
            that such pairs promise too much. Where a camera is unknown, the pair counts.
    """
    telling = _telling(people.crops, counted)
    signatures = distance.signatures(people).astype(np.float64)
    persons = people.crops.person_codes
    same, different = [np.empty(0)], [np.empty(0)]
    for row in range(len(signatures) - 1):
        apart = np.sqrt(((signatures[row + 1 :] - signatures[row]) ** 2).sum(axis=1))
        alike = persons[row + 1 :] == persons[row]
        if telling is not None:
            chosen = telling(row)
            apart, alike = apart[chosen], alike[chosen]
        same.append(apart[alike])
        different.append(apart[~alike])
    return np.concatenate(same), np.concatenate(different)


def _telling(crops: Crops, counted: Counted) -> Callable[[int], NDArray[np.bool_]] | None:
    """Return which later crops make a pair that counts with the crop of a row; None for all."""
    unknown = np.zeros(len(crops), "U1")
    dataset = unknown if crops.dataset is None else crops.dataset
    camera = unknown if crops.camera is None or counted == "all" else crops.camera
    if counted == "all" and (dataset == dataset[0]).all():
        return None

    def chosen(row: int) -> NDArray[np.bool_]:
        later = slice(row + 1, None)
        apart = (camera[later] != camera[row]) | (camera[later] == "")
        found: NDArray[np.bool_] = apart & (dataset[later] == dataset[row])
        return found

    return chosen


def together(pairs: Sequence[Pairs]) -> Pairs:
    """Return the pairs of several groups of persons as those of one."""
    same, different = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return same, different


def _fraction_within(
    datasets: Sequence[NDArray[np.float64]], limits: NDArray[np.float64]
) -> tuple[float, ...]:
    """Return the mean over datasets of how many of their ascending distances are within limits."""
    found = [np.searchsorted(one, limits, side="right") / len(one) for one in datasets]
    return tuple(np.mean(found, axis=0).tolist())

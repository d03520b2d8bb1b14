"""Judging a fitted distance on persons that it was not fitted on."""

from collections.abc import Callable, Iterator

import numpy as np

from passerby.data.crops import NOBODY_CODE, owners
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.queries import draw_queries
from passerby.ranking.query_scores import score_queries

DRAWS = 5
"""A random query of each person is drawn so often."""

Fit = Callable[[Embeddings], Distance]
"""Makes a distance from persons that the model was not trained on; plain ones ignore them."""


def real_persons(people: Embeddings) -> Embeddings:
    """Return the crops of persons, without distractors and junk."""
    return people.of_rows(np.flatnonzero(people.crops.person_codes > NOBODY_CODE))


def split_halves(people: Embeddings) -> Iterator[tuple[Embeddings, Embeddings]]:
    """Yield every second person, or crop where nobody is known, and the others, then vice versa."""
    owner = owners(people.crops)
    first = np.isin(owner, np.unique(owner[owner >= 0])[::2])
    for part in (first, ~first):
        yield people.of_rows(np.flatnonzero(part)), people.of_rows(np.flatnonzero(~part))


def split_datasets(people: Embeddings) -> Iterator[tuple[str, Embeddings]]:
    """Yield each dataset's name and crops; "" is the name of one that has none."""
    names = people.crops.dataset
    if names is None:
        yield "", people
        return
    for name in np.unique(names).tolist():
        yield name, people.of_rows(np.flatnonzero(names == name))


def mean_ap(people: Embeddings, fit: Fit) -> float:
    """Return the mAP on each half of the persons of the distance fitted on the other one.

    The queries are drawn at random as in the protocol "course".
    """
    found = []
    for half, other in split_halves(people):
        distance = fit(other)
        for seed in range(DRAWS):
            queries, gallery = draw_queries(half.crops.person_codes, seed=seed)
            scores = score_queries(
                half.of_rows(queries), half.of_rows(gallery), distance, leave_out_same_camera=False
            )
            found.append(np.nanmean(scores.ap))
    return float(np.mean(found))

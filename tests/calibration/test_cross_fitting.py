from pathlib import Path

import numpy as np
import pytest
from numbered import numbered, numbers

from passerby.calibration.cross_fitting import DRAWS, mean_ap, split_halves
from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.evaluation import EvaluationProtocol
from passerby.inference import Embeddings
from passerby.ranking import Distance
from passerby.ranking.query_scores import score_queries

EUCLIDEAN = Distance(features="embedding", metric="euclidean")


def people(places: list[float], persons: list[int]) -> Embeddings:
    count = len(places)
    crops = Crops(tuple(Path(f"{i}.jpg") for i in range(count)), **numbered(persons))
    vectors = np.array(places, np.float32)[:, None]
    return Embeddings(crops, vectors, np.zeros((count, 32), np.float32), MARKET1501_ATTRIBUTES, "m")


def test_halves() -> None:
    """Of the persons 2 3 5 8 the first and the third are on one side, whatever the order."""
    everyone = people([0, 1, 2, 3, 4, 5], [8, 5, 3, 2, 5, 8])
    sides = [(numbers(half.crops), numbers(other.crops)) for half, other in split_halves(everyone)]
    assert sides == [([5, 2, 5], [8, 3, 8]), ([8, 3, 8], [5, 2, 5])]
    assert [half.vectors[:, 0].tolist() for half, _ in split_halves(everyone)] == [
        [1, 3, 4],
        [0, 2, 5],
    ]


def test_a_distance_is_judged_on_persons_it_was_not_fitted_on() -> None:
    fitted_on: list[set[int]] = []

    def fit(some: Embeddings) -> Distance:
        fitted_on.append(set(numbers(some.crops)))
        return EUCLIDEAN

    # everyone stands where nobody else does
    assert mean_ap(people([1, 1, 9, 9, 17, 17, 25, 25], [1, 1, 2, 2, 3, 3, 4, 4]), fit) == 1
    assert fitted_on == [{2, 4}, {1, 3}]


def test_the_mean_of_the_draws_of_both_halves() -> None:
    generator = np.random.default_rng(0)
    everyone = people(generator.integers(0, 20, 24).tolist(), np.repeat(range(1, 9), 3).tolist())
    expected = []
    for half, _ in split_halves(everyone):
        for seed in range(DRAWS):
            queries, gallery = (
                half.of_rows(rows)
                for rows in EvaluationProtocol("course", False, seed).split(half.crops)
            )
            scores = score_queries(queries, gallery, EUCLIDEAN, leave_out_same_camera=False)
            expected.append(scores.ap.mean())
    assert mean_ap(everyone, lambda some: EUCLIDEAN) == pytest.approx(sum(expected) / 10)


def test_halves_of_crops_without_persons() -> None:
    crops = Crops([f"{i}.jpg" for i in range(5)])
    everyone = Embeddings(crops, np.arange(5, dtype=np.float32)[:, None], model="m")
    halves = [half.vectors[:, 0].tolist() for half, _ in split_halves(everyone)]
    assert halves == [[0, 2, 4], [1, 3]]

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import numbered

from passerby.calibration.cross_fitting import mean_ap
from passerby.calibration.fitted_distances import (
    RIDGES,
    SHARES,
    best_ridge,
    best_share,
    fit_fused_distance,
    fit_learned_distance,
    fit_weighted_distance,
    recognition_weights,
)
from passerby.data import Crops, Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance
from passerby.ranking.distance import Metric
from passerby.ranking.query_scores import score_queries


def people(
    vectors: np.ndarray,
    persons: list[int] | np.ndarray | None,
    *,
    attributes: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Embeddings:
    count = len(vectors)
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        **numbered(persons),
        labels=labels,
        schema=None if labels is None else MARKET1501_ATTRIBUTES,
    )
    probabilities = np.full((count, 32), 0.5) if attributes is None else attributes
    return Embeddings(
        crops,
        vectors.astype(np.float32),
        probabilities.astype(np.float32),
        MARKET1501_ATTRIBUTES,
        "m",
    )


def test_recognition_weights_by_hand() -> None:
    """Four crops; 0.5 counts as found.

    attribute   truth      answer     positives found   negatives right   weight
    0           1 1 0 0    1 1 0 0    1                 1                 1
    1           1 1 0 0    1 0 0 0    1/2               1                 1/2
    2           1 1 0 0    1 0 1 0    1/2               1/2               0
    3           1 1 0 0    0 0 1 1    0                 0                 0, not −1
    4           1 1 1 1    1 1 1 1    everybody has it                    0
    5           0 0 0 0    0 0 0 0    nobody has it                       0
    6           1 0 0 0    1 1 0 0    1                 2/3               2/3
    """
    truth = ["1100", "1100", "1100", "1100", "1111", "0000", "1000"]
    answer = ["1100", "1000", "1010", "0011", "1111", "0000", "1100"]
    labels = np.array([[mark == "1" for mark in row] for row in truth]).T
    found = np.array([[0.5 if mark == "1" else 0.4999 for mark in row] for row in answer]).T
    assert recognition_weights(found, labels) == pytest.approx([1, 0.5, 0, 0, 0, 0, 2 / 3])


@given(st.integers(0, 1000))
def test_recognition_weights_are_fractions(seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = recognition_weights(generator.random((9, 5)), generator.random((9, 5)) < 0.5)
    assert ((weights >= 0) & (weights <= 1)).all()


def test_a_weighted_distance() -> None:
    labels = np.zeros((2, 32), bool)
    labels[0, :2] = True
    attributes = labels * 0.8
    attributes[0, 1] = 0.1
    crops = people(np.ones((2, 1)), [1, 2], attributes=attributes, labels=labels)
    distance = fit_weighted_distance(crops, "attributes", "euclidean")
    assert distance.name == "attributes euclidean weighted"
    # the first is always right, the second never found, of the others there is none
    assert distance.weights == (1, 0, *[0] * 30)
    assert fit_weighted_distance(crops).name == "logits normalized_euclidean weighted"


def test_a_model_that_recognises_nothing_weighs_all_alike() -> None:
    labels = np.zeros((2, 32), bool)
    labels[0] = True
    # 0.5 counts as found: everybody has everything
    distance = fit_weighted_distance(people(np.ones((2, 1)), [1, 2], labels=labels))
    assert distance.weights == (1,) * 32


def test_labels_are_needed_for_weights() -> None:
    with pytest.raises(InputError, match="no attribute annotations to weight by"):
        fit_weighted_distance(people(np.ones((2, 1)), [1, 2]))


def within_covariance(values: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Crops less their person's mean, divided by crops less persons; a loop."""
    total = np.zeros((values.shape[1], values.shape[1]))
    for person in np.unique(persons):
        mine = values[persons == person].astype(np.float64)
        total += sum(np.outer(row, row) for row in mine - mine.mean(axis=0))
    return total / (len(values) - len(np.unique(persons)))


def random_people(seed: int = 0, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    persons = np.repeat(np.arange(1, 31), 6)
    mixing = np.eye(width) + 0.3 * generator.normal(size=(width, width))
    centres = generator.normal(size=(31, width)) * 3
    values = centres[persons] + generator.normal(size=(180, width)) @ mixing
    order = generator.permutation(180)
    return values[order].astype(np.float32), persons[order]


def test_a_learned_layer_by_hand() -> None:
    """Two persons, two crops each, around (0, 0) and (10, 5).

    From their means the crops lie ±(2, 1) and ±(2, −1) away: the squares sum to 16 and 4, the
    products cancel. Over 4 − 2 degrees of freedom Σ = diag(8, 2), with a mean variance of 5.
    """
    vectors = np.array([[2, 1], [-2, -1], [12, 4], [8, 6]])
    persons = [1, 1, 2, 2]
    assert within_covariance(vectors, np.array(persons)).tolist() == [[8, 0], [0, 2]]
    distance = fit_learned_distance(people(vectors, persons), "embedding", "euclidean", ridge=0.3)
    # in units of 5: 1.6 + 0.3 and 0.4 + 0.3
    expected = np.diag([1.9**-0.5, 0.7**-0.5])
    assert np.array(distance.layer) == pytest.approx(expected, abs=1e-9)
    assert distance.name == "embedding euclidean learned"


def test_a_learned_layer_whitens() -> None:
    values, persons = random_people()
    distance = fit_learned_distance(people(values, persons), "embedding", "euclidean", ridge=0)
    layer, covariance = np.array(distance.layer), within_covariance(values, persons)
    variance = np.trace(covariance) / 5
    assert layer == pytest.approx(layer.T)
    assert layer @ layer @ covariance == pytest.approx(variance * np.eye(5), abs=1e-6)
    # so the Euclidean distance of the signatures is the Mahalanobis distance in that unit
    signatures = distance.signatures(people(values, persons))
    apart = values[0] - values[1]
    mahalanobis = (apart @ np.linalg.inv(covariance / variance) @ apart) ** 0.5
    assert np.linalg.norm(signatures[0] - signatures[1]) == pytest.approx(mahalanobis, rel=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "normalized_euclidean"])
def test_a_learned_layer_with_its_ridge(metric: Metric) -> None:
    """For the cosine the covariance is that of the vectors of length 1."""
    values, persons = random_people(1)
    layer = np.array(
        fit_learned_distance(people(values, persons), "embedding", metric, ridge=2).layer
    )
    if metric == "normalized_euclidean":
        values = values / np.linalg.norm(values, axis=1, keepdims=True)
    covariance = within_covariance(values, persons)
    scaled = covariance / (np.trace(covariance) / 5) + 2 * np.eye(5)
    assert layer @ layer @ scaled == pytest.approx(np.eye(5), abs=1e-5)


def test_a_layer_does_not_depend_on_the_order_or_on_who_is_where() -> None:
    values, persons = random_people(2)

    def layer(values: np.ndarray, persons: np.ndarray) -> np.ndarray:
        crops = people(values, persons)
        return np.array(fit_learned_distance(crops, "embedding", "euclidean", ridge=1).layer)

    expected = layer(values, persons)
    order = np.random.default_rng(0).permutation(len(values))
    assert layer(values[order], persons[order]) == pytest.approx(expected)
    moved = values + 5 * persons[:, None].astype(np.float32)
    assert layer(moved, persons) == pytest.approx(expected, abs=1e-4)


def test_a_layer_finds_persons_behind_noise() -> None:
    """One column tells 40 persons apart, the other is noise; the smallest ridge suits best."""
    generator = np.random.default_rng(0)
    persons = np.tile(np.arange(1, 41), 6)
    values = np.stack(
        [persons + 0.1 * generator.normal(size=240), 10 * generator.normal(size=240)], axis=1
    )
    fitted, queries, gallery = (
        people(values[part], persons[part])
        for part in (slice(0, 160), slice(160, 200), slice(200, 240))
    )

    def mean_ap(distance: Distance) -> float:
        return score_queries(queries, gallery, distance, leave_out_same_camera=False).ap.mean()

    plain = mean_ap(Distance(features="embedding", metric="euclidean"))
    learned = mean_ap(fit_learned_distance(fitted, "embedding", "euclidean"))
    assert learned > plain + 0.2
    assert best_ridge(fitted, "embedding", "euclidean") == min(RIDGES)


def test_the_ridge_is_that_of_the_highest_map() -> None:
    values, persons = random_people(4)
    crops = people(values + 2 * np.random.default_rng(4).normal(size=values.shape), persons)
    found = {
        ridge: mean_ap(
            crops, lambda some, r=ridge: fit_learned_distance(some, "embedding", ridge=r)
        )
        for ridge in RIDGES
    }
    chosen = best_ridge(crops, "embedding")
    assert found[chosen] == max(found.values())
    left_out, given = (fit_learned_distance(crops, "embedding", ridge=r) for r in (None, chosen))
    assert left_out == given


def test_with_few_persons_the_ridge_is_cautious() -> None:
    """Seven persons with two crops: one half has three only. An eighth makes it four."""
    persons = np.repeat(np.arange(1, 9), 2)
    values = np.random.default_rng(0).normal(size=(16, 3))
    assert best_ridge(people(values[:14], persons[:14]), "embedding") == 3
    persons[-1] = 9
    # each of the last two has one crop
    assert best_ridge(people(values, persons), "embedding") == 3


def test_a_layer_for_attributes_goes_with_attributes() -> None:
    generator = np.random.default_rng(0)
    crops = people(np.ones((12, 2)), np.repeat([1, 2, 3], 4), attributes=generator.random((12, 32)))
    distance = fit_learned_distance(crops)
    assert distance.name == "logits normalized_euclidean learned"
    assert distance.signatures(crops).shape == (12, 32)
    assert fit_learned_distance(crops, "both").signatures(crops).shape == (12, 34)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="No person appears in two different crops"):
        fit_learned_distance(people(np.arange(6).reshape(3, 2), [1, 2, 3]), "embedding")
    equal = people(np.repeat([[0.1, 0.7]], 6, axis=0), [1, 1, 1, 2, 2, 2])
    with pytest.raises(InputError, match="No person appears in two different crops"):
        fit_learned_distance(equal, "embedding", "euclidean")
    with pytest.raises(InputError, match="have no persons"):
        fit_learned_distance(people(np.ones((2, 2)), None), "embedding")


def test_equal_crops_are_equal_for_the_cosine_too() -> None:
    generator = np.random.default_rng(0)
    for width in (2, 8, 32):
        vectors = np.repeat(generator.random((2, width)), 3, axis=0)
        equal = people(vectors, [1, 1, 1, 2, 2, 2])
        with pytest.raises(InputError, match="No person appears in two different crops"):
            fit_learned_distance(equal, "embedding", "normalized_euclidean")


def test_values_that_are_no_numbers() -> None:
    vectors = np.array([[1, 2], [np.nan, 3], [4, 5], [5, 7]])
    with pytest.raises(InputError, match="not numbers"):
        fit_learned_distance(people(vectors, [1, 1, 2, 2]), "embedding")


def test_distractors_and_junk_teach_nothing() -> None:
    values, persons = random_people(3)
    noise = 50 * np.random.default_rng(0).normal(size=(8, 5))
    crops = people(values, persons)
    more = people(np.concatenate([values, noise]), [*persons, 0, 0, 0, 0, -1, -1, -1, -1])
    layers = [np.array(fit_learned_distance(c, "embedding", ridge=1).layer) for c in (crops, more)]
    assert layers[1] == pytest.approx(layers[0])


def test_a_fused_distance_adds_the_weighted_squares() -> None:
    generator = np.random.default_rng(0)
    crops = people(unit(generator.random((5, 3))), None, attributes=generator.random((5, 32)))
    signatures = fit_fused_distance(crops, share=0.25).signatures(crops)
    found = ((signatures[0] - signatures[1:]) ** 2).sum(axis=1)
    parts = [crops.vectors, unit(crops.attributes)]
    embedding, attributes = (((part[0] - part[1:]) ** 2).sum(axis=1) for part in parts)
    # scaled, as the whole has length √(1 + 1/4)
    np.testing.assert_allclose(found * 1.25, embedding + 0.25 * attributes, rtol=1e-5)
    assert fit_fused_distance(crops, share=0.25).name == "both normalized_euclidean weighted"


@pytest.mark.parametrize(
    ("good", "expected"), [("embedding", SHARES[:2]), ("attributes", SHARES[-2:])]
)
def test_the_share_follows_what_recognises_people(good: str, expected: tuple[float]) -> None:
    generator = np.random.default_rng(1)
    persons = np.repeat(np.arange(1, 41), 5)
    signal = unit(generator.standard_normal((41, 8)))[persons]
    signal += 0.25 * generator.standard_normal(signal.shape)
    noise = generator.standard_normal((len(persons), 8))
    embedding, known = (signal, noise) if good == "embedding" else (noise, signal)
    attributes = 1 / (1 + np.exp(-4 * np.tile(known, 4)))
    crops = people(unit(embedding), persons, attributes=attributes)
    assert best_share(crops) in expected


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_unknown_labels_have_no_weight() -> None:
    """The third crop is wrong about the first attribute, but nobody knows."""
    labels = np.array([[1, 1], [0, 0], [np.nan, 1]], np.float32)
    found = np.array([[0.9, 0.9], [0.1, 0.1], [0.9, 0.1]])
    assert recognition_weights(found, labels) == pytest.approx([1, 0.5])
    assert recognition_weights(found, np.full((3, 2), np.nan)).tolist() == [0, 0]


def test_labels_of_other_attributes_weigh_nothing() -> None:
    crops = people(np.ones((2, 1)), [1, 2], labels=np.eye(2, 32))
    other = crops.crops.replace(labels=np.eye(2), schema=Schema.of(["helmet", "vest"]))
    with pytest.raises(InputError, match="other attributes than the model's: map them"):
        fit_weighted_distance(replace(crops, crops=other))

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numbered import numbered

from passerby.calibration import calibrate_distances
from passerby.calibration.cross_fitting import mean_ap
from passerby.calibration.fitting import measure_calibration, pair_distances, summarize_pairs
from passerby.data import Crops, Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance

EUCLIDEAN = Distance(features="embedding", metric="euclidean")


def people(
    vectors: object,
    persons: list[int] | None,
    *,
    attributes: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Embeddings:
    values = np.asarray(vectors, np.float32)
    values = values.reshape(len(values), -1 if values.size else 1)
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(len(values))),
        **numbered(persons),
        labels=labels,
        schema=None if labels is None else MARKET1501_ATTRIBUTES,
    )
    if attributes is None:
        attributes = np.full((len(values), 32), 0.5)
    return Embeddings(crops, values, attributes.astype(np.float32), MARKET1501_ATTRIBUTES, "m")


def crowd(seed: int = 0, count: int = 10, labelled: bool = True) -> Embeddings:
    """Persons with four crops each; embeddings near their centre, attributes mostly right."""
    generator = np.random.default_rng(seed)
    persons = np.repeat(np.arange(1, count + 1), 4)
    labels = (generator.random((count + 1, 32)) < 0.5)[persons]
    attributes = np.clip(labels * 0.6 + 0.2 + 0.2 * generator.normal(size=labels.shape), 0, 1)
    vectors = generator.normal(size=(count + 1, 8))[persons] + generator.normal(size=(4 * count, 8))
    return people(
        vectors, persons.tolist(), attributes=attributes, labels=labels if labelled else None
    )


@pytest.mark.parametrize("counted", ["all", "across"])
def test_pairs_across_cameras_and_within_datasets(counted: Literal["all", "across"]) -> None:
    generator = np.random.default_rng(0)
    count = 24
    crops = Crops(
        [f"{i}.jpg" for i in range(count)],
        person=generator.choice(["7", "8", "9"], count).tolist(),
        camera=generator.choice(["1", "2", ""], count).tolist(),
        dataset=generator.choice(["x", "y"], count).tolist(),
    )
    some = Embeddings(crops, generator.normal(size=(count, 3)).astype(np.float32))
    same, different = pair_distances(some, EUCLIDEAN, counted)
    expected: dict[bool, list[float]] = {True: [], False: []}
    for i, j in combinations(range(count), 2):
        of_one_camera = counted == "across" and crops.camera[i] == crops.camera[j] != ""
        if crops.dataset[i] != crops.dataset[j] or of_one_camera:
            continue
        apart = float(np.linalg.norm(some.vectors[i].astype(float) - some.vectors[j]))
        expected[bool(crops.person[i] == crops.person[j])].append(apart)
    np.testing.assert_allclose(sorted(same), sorted(expected[True]), rtol=1e-6)
    np.testing.assert_allclose(sorted(different), sorted(expected[False]), rtol=1e-6)


def test_nobody_was_seen_by_two_cameras() -> None:
    crops = Crops("abcd", person=list("1122"), camera=list("1122"))
    some = Embeddings(crops, np.eye(4, dtype=np.float32))
    pairs = pair_distances(some, EUCLIDEAN, "across")
    assert (len(pairs[0]), len(pairs[1])) == (0, 4)
    with pytest.raises(InputError, match="Too few persons were seen by two cameras"):
        summarize_pairs([pairs], [crops.person_codes], "across")


def test_curves_by_hand() -> None:
    """Persons 1 and 3 are one half, 2 and 4 the other.

    Half 1, 3: places 0 1 | 10: same 1; different 10 and 9. Half 2, 4: places 20 | 23 25: same 2;
    different 3 and 5. Of a crop drawn at random: two of six crops are alone, four have one other.
    """
    crops = people([0, 1, 20, 10, 23, 25], [1, 1, 2, 3, 4, 4])
    curve = measure_calibration(crops, lambda some: EUCLIDEAN)
    assert curve.persons == 4
    assert curve.crops_per_person == pytest.approx(4 / 6)

    assert (curve.distances[0], curve.distances[-1]) == (1, 10)
    for distance, same, different in zip(curve.distances, curve.same, curve.different, strict=True):
        assert same == sum(pair <= distance for pair in (1, 2)) / 2
        assert different == sum(pair <= distance for pair in (3, 5, 9, 10)) / 4


def test_curves_against_a_loop() -> None:
    crops = crowd(1)
    persons = crops.crops.person_codes.tolist()
    curve = measure_calibration(crops, lambda some: EUCLIDEAN)
    same, different = [], []
    for i, j in combinations(range(len(crops)), 2):
        if persons[i] % 2 == persons[j] % 2:  # one half: odd or even persons
            apart = float(np.linalg.norm(crops.vectors[i] - crops.vectors[j]))
            (same if persons[i] == persons[j] else different).append(apart)
    assert (len(same), len(different)) == (10 * 6, 2 * 10 * 16)
    for name, pairs in (("same", same), ("different", different)):
        found = getattr(curve, name)
        # the quantiles are pairs themselves: the nearest by rounding may fall on either side
        low = [np.mean(np.array(pairs) <= d - 1e-5) for d in curve.distances]
        high = [np.mean(np.array(pairs) <= d + 1e-5) for d in curve.distances]
        assert (np.array(low) <= found).all()
        assert (found <= np.array(high)).all()
    assert curve.crops_per_person == 3
    assert (curve.same[-1], curve.different[-1]) == (1, 1)


def test_each_half_is_measured_with_the_distance_of_the_other() -> None:
    """The distance of the even persons doubles all lengths, that of the odd ones does not."""

    def fit(some: Embeddings) -> Distance:
        even = int(some.crops.person[0]) % 2 == 0
        return Distance(features="embedding", metric="euclidean", weights=(4.0 if even else 1.0,))

    crops = people([0, 1, 50, 20, 21, 90], [1, 1, 3, 2, 2, 4])
    curve = measure_calibration(crops, fit)
    # the odd persons' pair, 1 apart, is measured with the distance of the even ones
    assert curve.distances[0] == 1
    assert curve.same[0] == 0.5
    assert curve.same[int(np.searchsorted(curve.distances, 2))] == 1
    assert curve.distances[-1] == 100


def test_the_distances_of_a_model() -> None:
    crops = crowd()
    found = calibrate_distances(crops, ("attributes", "identity"))
    assert {one.distance.name for one in found} == {
        "embedding normalized_euclidean",
        "logits normalized_euclidean learned",
        "logits normalized_euclidean weighted",
        "logits normalized_euclidean",
        "logits euclidean",
        "attributes euclidean",
        "both normalized_euclidean weighted",
    }
    for one in found:
        assert one.calibration.persons == 10
        assert one.calibration.crops_per_person == 3
        one.distance.signatures(crops)
    plain = [one.distance for one in found if one.distance.kind == "plain"]
    scores = [mean_ap(crops, lambda some, d=d: d) for d in plain]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def test_the_best_comes_first() -> None:
    """Embeddings without a meaning beside attributes that are always right, and the reverse."""
    labels = np.repeat(np.random.default_rng(0).random((10, 32)) < 0.5, 4, axis=0)
    persons = np.repeat(np.arange(1, 11), 4)
    noise = np.random.default_rng(1).normal(size=(40, 8))
    sure = np.clip(labels + 0.1 * np.random.default_rng(3).normal(size=labels.shape), 0.05, 0.95)
    readable = people(noise, persons.tolist(), attributes=sure, labels=labels)
    assert (
        calibrate_distances(readable, ("attributes",))[-1].distance.name
        == "embedding normalized_euclidean"
    )
    chance = np.random.default_rng(2).random((40, 32))
    identity = people(
        np.eye(11)[persons] + 0.01 * noise[:, :1], persons.tolist(), attributes=chance
    )
    assert calibrate_distances(identity, ("attributes", "identity"))[0].distance.features in (
        "embedding",
        "both",
    )


def test_the_weighted_distance_needs_labels() -> None:
    found = calibrate_distances(crowd(labelled=False), ("attributes",))
    assert sorted(one.distance.kind for one in found) == ["learned"] + ["plain"] * 4 + ["weighted"]
    (weighted,) = (one.distance for one in found if one.distance.kind == "weighted")
    assert weighted.features == "both"


def test_identity_alone_has_the_embedding_alone() -> None:
    (only,) = calibrate_distances(crowd(), ("identity",))
    assert only.distance == Distance(features="embedding")


def test_distractors_and_junk_are_left_out() -> None:
    crops = crowd(3)
    noise = 9 * np.random.default_rng(0).normal(size=(6, 8))
    labels = np.concatenate([crops.crops.labels, np.ones((6, 32), bool)])
    more = people(
        np.concatenate([crops.vectors, noise]),
        [*crops.crops.person_codes.tolist(), 0, 0, 0, -1, -1, -1],
        attributes=np.concatenate([crops.attributes, np.ones((6, 32))]),
        labels=labels,
    )
    assert calibrate_distances(more, ("attributes", "identity")) == calibrate_distances(
        crops, ("attributes", "identity")
    )


@pytest.mark.parametrize(
    "persons",
    [
        [],
        [0, 0, -1, -1],
        [1, 1, 2, 2, 3, 3],
        [1, 2, 3, 4],
        # the second half, 2 and 4, has one crop of each
        [1, 1, 2, 3, 3, 4],
    ],
)
def test_too_few(persons: list[int]) -> None:
    crops = people(np.ones((len(persons), 1)), persons)
    with pytest.raises(InputError, match="too few to calibrate distances: .* at least 4 persons"):
        calibrate_distances(crops, ("identity",))


def test_no_person_ids() -> None:
    with pytest.raises(InputError, match="have no persons"):
        calibrate_distances(people(np.ones((8, 1)), None), ("identity",))


def test_a_model_that_finds_all_crops_equal() -> None:
    crops = people(np.ones((8, 3)), [1, 1, 2, 2, 3, 3, 4, 4])
    with pytest.raises(InputError, match="finds all crops equal: train it further"):
        calibrate_distances(crops, ("identity",))


def test_a_curve_reaches_all_its_pairs_and_its_thresholds_fit() -> None:
    """Of the persons measured, the threshold for a recall admits about that share of pairs."""
    curve = measure_calibration(crowd(5, 40), lambda some: EUCLIDEAN)
    for recall in (0.3, 0.5, 0.9):
        place = np.searchsorted(curve.distances, curve.threshold_for_recall(recall), side="right")
        assert curve.same[place - 1] == pytest.approx(recall, abs=0.03)
    for rate in (1e-3, 0.01, 0.5):
        limit = curve.threshold_for_false_match_rate(rate)
        assert curve.different[curve.distances.index(limit)] <= rate


def test_a_model_that_recognises_nothing_is_calibrated_all_the_same() -> None:
    crops = crowd()
    hopeless = people(
        crops.vectors,
        crops.crops.person_codes.tolist(),
        attributes=crops.attributes * 0.4,
        labels=crops.crops.labels,
    )
    found = calibrate_distances(hopeless, ("attributes", "identity"))
    (weighted,) = (
        one.distance for one in found if one.distance.name == "logits normalized_euclidean weighted"
    )
    assert weighted.weights == (1,) * 32


def test_attributes_that_are_no_numbers() -> None:
    crops = crowd()
    attributes = crops.attributes.copy()
    attributes[5, 3] = np.nan  # person 2 is of the second half, on which is fitted first
    broken = people(crops.vectors, crops.crops.person_codes.tolist(), attributes=attributes)
    with pytest.raises(InputError, match="not between 0 and 1"):
        calibrate_distances(broken, ("attributes", "identity"))


def test_labels_of_other_attributes_weigh_no_distance() -> None:
    crops = crowd()
    labels = np.ones((len(crops), 1))
    other = replace(crops, crops=crops.crops.replace(labels=labels, schema=Schema.of(["helmet"])))
    found = calibrate_distances(other, ("attributes",))
    expected = calibrate_distances(crowd(labelled=False), ("attributes",))
    assert [one.distance.name for one in found] == [one.distance.name for one in expected]


def test_persons_of_one_name_in_two_datasets_are_two() -> None:
    """Dataset a as in `test_curves_by_hand`; b likewise, but twice as wide."""
    places = np.array([0, 1, 20, 10, 23, 25])
    crops = people([*places, *(2 * places)], [1, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 8])
    named = crops.crops.replace(person=list("ppqrss" * 2), dataset=list("a" * 6 + "b" * 6))
    curve = measure_calibration(replace(crops, crops=named), lambda some: EUCLIDEAN)
    assert curve.persons == 8
    assert curve.crops_per_person == pytest.approx(4 / 6)
    for distance, same, different in zip(curve.distances, curve.same, curve.different, strict=True):
        halves = (distance, distance / 2)
        assert same == np.mean([sum(pair <= d for pair in (1, 2)) / 2 for d in halves])
        assert different == np.mean([sum(pair <= d for pair in (3, 5, 9, 10)) / 4 for d in halves])


def test_nobody_to_tell_apart_within_a_dataset() -> None:
    crops = people([0, 1, 20, 10, 23, 25], [1, 1, 2, 3, 4, 4])
    alone = crops.crops.replace(dataset=["a", "a", "b", "c", "d", "d"])
    with pytest.raises(
        InputError, match="No dataset has a pair of crops of one person and a pair of two"
    ):
        measure_calibration(replace(crops, crops=alone), lambda some: EUCLIDEAN)

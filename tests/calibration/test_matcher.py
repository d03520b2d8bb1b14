import itertools
import json
from typing import Any

import numpy as np
import pytest

from passerby.calibration import AnswerRule, pool_attributes
from passerby.calibration.calibration import Calibration
from passerby.calibration.matcher import Matcher, choose_matcher, read_matchers
from passerby.data import Crops, Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings, ModelInfo, Preprocessing
from passerby.ranking import Distance


def measure_calibration(persons: int) -> Calibration:
    return Calibration(
        distances=(0, 1), same=(0.5, 1), different=(0, 1), crops_per_person=3, persons=persons
    )


WEIGHTED = Matcher(
    distance=Distance(features="logits", weights=(1.0,) * 32), calibration=measure_calibration(11)
)
PLAIN = Matcher(distance=Distance(features="embedding"), calibration=measure_calibration(12))
LOGITS = Matcher(
    distance=Distance(features="logits", metric="euclidean"), calibration=measure_calibration(13)
)


def info_with(*distances: Matcher, **changes: Any) -> ModelInfo:
    values = {
        "name": "test",
        "schema": MARKET1501_ATTRIBUTES,
        "tasks": ("attributes", "identity"),
        "embedding_size": 2,
        "preprocessing": Preprocessing(height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1)),
        "distances": tuple(d.model_dump(mode="json") for d in distances),
        "architecture": {},
    }
    return ModelInfo.model_validate({**values, **changes})


def test_distances_come_back_from_json() -> None:
    info = info_with(WEIGHTED, PLAIN)
    again = ModelInfo.model_validate(json.loads(info.model_dump_json()))
    assert read_matchers(again) == (WEIGHTED, PLAIN)
    assert read_matchers(info_with()) == ()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, WEIGHTED),
        ({"features": "embedding"}, PLAIN),
        ({"features": "logits"}, WEIGHTED),
        ({"kind": "plain"}, PLAIN),
        ({"metric": "euclidean"}, LOGITS),
        ({"features": "logits", "kind": "plain"}, LOGITS),
    ],
)
def test_the_best_of_those_asked_for(asked: dict[str, Any], expected: Matcher) -> None:
    assert choose_matcher(info_with(WEIGHTED, PLAIN, LOGITS), **asked) == expected


@pytest.mark.parametrize(
    ("tasks", "asked", "expected"),
    [
        (("attributes", "identity"), {}, Distance(features="embedding")),
        (("attributes",), {}, Distance(features="logits")),
        (("attributes",), {"metric": "euclidean"}, Distance(features="logits", metric="euclidean")),
        (("attributes",), {"features": "both"}, Distance(features="both")),
        (("identity",), {"kind": "plain"}, Distance(features="embedding")),
    ],
)
def test_plain_distances_need_no_calibration(
    tasks: tuple[str, ...], asked: dict[str, Any], expected: Distance
) -> None:
    assert choose_matcher(info_with(tasks=tasks), **asked) == Matcher(distance=expected)


def test_fitted_distances_must_be_there() -> None:
    with pytest.raises(
        InputError, match="no learned distance.* from logits normalized_euclidean weighted"
    ):
        choose_matcher(info_with(WEIGHTED), kind="learned")
    with pytest.raises(InputError, match="no weighted distance.* from the plain ones"):
        choose_matcher(info_with(), kind="weighted")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("features", "`features` is 'smell': choose from embedding, attributes, logits, both"),
        ("metric", "`metric` is 'smell': choose from euclidean, normalized_euclidean"),
        ("kind", "`kind` is 'smell': choose from plain, weighted, learned"),
    ],
)
def test_distances_that_there_are_not(option: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_matcher(info_with(PLAIN), **{option: "smell"})


@pytest.mark.parametrize(
    ("damaged", "where"),
    [
        ({"distance": {"features": "embedding"}}, "distances.0.calibration: Field required"),
        (
            {**PLAIN.model_dump(), "distance": {"features": "smell"}},
            "distances.0.distance.features: Input should be",
        ),
    ],
)
def test_a_damaged_model_file(damaged: dict[str, Any], where: str) -> None:
    info = info_with(distances=(damaged,))
    with pytest.raises(InputError, match=rf"model.json: {where}.*calibrate the model again"):
        read_matchers(info)


@pytest.mark.parametrize("features", ["attributes", "logits", "both"])
def test_attributes_of_a_model_that_has_none(features: Any) -> None:
    with pytest.raises(InputError):
        choose_matcher(info_with(tasks=("identity",)), features)


def line(*places: float) -> Embeddings:
    """Crops on a line, each a file of its own; the attribute is their place."""
    crops = Crops([f"{next(NUMBERS)}.jpg" for _ in places])
    values = np.array(places, np.float32)[:, None]
    return Embeddings(crops, values, np.clip(values / 10, 0, 1), Schema.of(["hat"]), "m")


NUMBERS = itertools.count()
ON_A_LINE = Matcher(
    distance=Distance(features="embedding", metric="euclidean"),
    calibration=Calibration(
        distances=(1, 2, 4),
        same=(0.5, 0.8, 1),
        different=(0.01, 0.1, 1),
        crops_per_person=2,
        persons=10,
    ),
)


def test_a_matcher_ranks() -> None:
    queries, gallery = line(0), line(3, 1, 2)
    assert ON_A_LINE.rank(queries, gallery)[0][0].tolist() == [1, 2, 0]
    assert ON_A_LINE.rank(queries, gallery, top_k=1)[0][0].tolist() == [1]
    assert ON_A_LINE.rank(queries, gallery, within=2)[0][0].tolist() == [1, 2]


def test_a_matcher_knows_thresholds_and_what_they_admit() -> None:
    queries, gallery = line(0), line(3, 1, 2)
    assert ON_A_LINE.threshold(AnswerRule("recall", 0.8), 3) == 2
    found = ON_A_LINE.find_answer_sets(queries, gallery, AnswerRule("recall", 0.8))
    assert found[0][0].tolist() == [1, 2]
    # of three 2 are right: F2 at 1 is 5 / (8 + 1.01), at 2 it is 8 / (8 + 1.7), at 4 10 / (8 + 3)
    assert ON_A_LINE.threshold(AnswerRule(), 3) == 4
    assert ON_A_LINE.find_answer_sets(queries, gallery)[0][0].tolist() == [1, 2, 0]


def test_a_matcher_turns_distances_into_probabilities_and_pools_by_them() -> None:
    assert ON_A_LINE.calibration is not None
    distances = np.array([0.5, 3.0])
    expected = ON_A_LINE.calibration.probability(distances, 9)
    assert ON_A_LINE.probability(distances, 9).tolist() == expected.tolist()
    people = line(0, 0.5, 9)
    pooled = pool_attributes(people, ON_A_LINE.distance, ON_A_LINE.calibration)
    assert ON_A_LINE.pool(people).known_attributes.tolist() == pooled.known_attributes.tolist()


def test_without_a_calibration_a_matcher_ranks_alone() -> None:
    plain = Matcher(distance=ON_A_LINE.distance)
    queries, gallery = line(0), line(3, 1, 2)
    assert plain.rank(queries, gallery)[0][0].tolist() == [1, 2, 0]
    assert plain.find_answer_sets(queries, gallery, AnswerRule("top_k", 2))[0][0].tolist() == [1, 2]
    for asked in (
        lambda: plain.find_answer_sets(queries, gallery),
        lambda: plain.threshold(AnswerRule(), 3),
        lambda: plain.probability(np.zeros(1), 3),
        lambda: plain.pool(gallery),
    ):
        with pytest.raises(InputError, match="not calibrated"):
            asked()


def test_the_cosine_is_called_by_its_true_name() -> None:
    with pytest.raises(InputError, match="`metric` is 'cosine': choose normalized_euclidean"):
        choose_matcher(info_with(PLAIN), metric="cosine")
    damaged = {**PLAIN.model_dump(), "distance": {"features": "logits", "metric": "cosine"}}
    with pytest.raises(InputError, match=r"distances.0.distance.metric.*normalized_euclidean"):
        read_matchers(info_with(distances=(damaged,)))


def test_a_model_without_a_schema_has_no_attributes() -> None:
    info = info_with(schema=None, tasks=("identity",))
    assert choose_matcher(info).distance == Distance(features="embedding")
    with pytest.raises(InputError, match="leave out `features`, or choose embedding"):
        choose_matcher(info, "logits")

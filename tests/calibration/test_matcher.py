import json
from typing import Any

import pytest

from passerby.calibration.calibration import Calibration
from passerby.calibration.matcher import Matcher, choose_matcher, read_matchers
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import ModelInfo, Preprocessing
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

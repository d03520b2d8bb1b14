"""Signatures by hand. With 32 attributes, most are given one value so that the sums stay short."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance
from passerby.ranking.distance import columns


def people(vectors: list[list[float]], attributes: np.ndarray | None = None) -> Embeddings:
    count = len(vectors)
    crops = Crops(paths=tuple(Path(f"{i}.jpg") for i in range(count)))
    if attributes is None:
        attributes = np.zeros((count, 32))
    return Embeddings(
        crops,
        np.array(vectors, np.float32),
        attributes.astype(np.float32),
        MARKET1501_ATTRIBUTES,
        "m",
    )


def attributes_of(*pairs: tuple[float, float]) -> np.ndarray:
    """The first two attributes as given, the other thirty 0."""
    values = np.zeros((len(pairs), 32))
    values[:, :2] = pairs
    return values


def test_embeddings_are_compared_as_they_are() -> None:
    crops = people([[3, 4], [0, 2]])
    signatures = Distance(features="embedding", metric="euclidean").signatures(crops)
    assert signatures.tolist() == [[3, 4], [0, 2]]
    assert signatures.dtype == np.float32
    assert signatures.flags.c_contiguous


def test_cosine_scales_to_length_one() -> None:
    signatures = Distance(features="embedding").signatures(people([[3, 4], [0, 2], [0, 0]]))
    # a vector of length 0 has no direction: it stays 0
    assert signatures == pytest.approx(np.array([[0.6, 0.8], [0, 1], [0, 0]]))


def test_the_cosine_distance_is_the_root_of_two_minus_two_cosines() -> None:
    signatures = Distance(features="embedding").signatures(people([[1, 0], [1, 1], [-2, 0]]))
    apart = np.linalg.norm(signatures[0] - signatures, axis=1)
    # angles 0°, 45° and 180°
    assert apart == pytest.approx([0, (2 - 2**0.5) ** 0.5, 2], abs=1e-6)


def test_attributes_are_the_probabilities() -> None:
    crops = people([[1.0]], attributes_of((0.3, 0.4)))
    plain = Distance(features="attributes", metric="euclidean").signatures(crops)
    assert plain[0, :3] == pytest.approx([0.3, 0.4, 0])
    scaled = Distance(features="attributes", metric="normalized_euclidean").signatures(crops)
    assert scaled[0, :3] == pytest.approx([0.6, 0.8, 0])


def test_logits_are_the_log_odds() -> None:
    crops = people([[1.0]], np.array([[0.5, 0.75, 0.2] + [0.5] * 29]))
    logits = Distance(features="logits", metric="euclidean").signatures(crops)
    # log(1 / 1), log(3 / 1), log(1 / 4)
    assert logits[0, :4] == pytest.approx([0, np.log(3), -np.log(4), 0], abs=1e-6)
    scaled = Distance(features="logits", metric="normalized_euclidean").signatures(crops)
    length = np.hypot(np.log(3), np.log(4))
    assert scaled[0, :3] == pytest.approx([0, np.log(3) / length, -np.log(4) / length], abs=1e-6)


def test_logits_of_certainty_are_finite() -> None:
    crops = people([[1.0], [1.0]], attributes_of((0, 1), (1e-30, 1 - 1e-7)))
    logits = Distance(features="logits", metric="euclidean").signatures(crops)
    # both count as one in a million: log(999999) = 13.8155
    assert logits[:, :2] == pytest.approx(np.array([[-13.8155, 13.8155]] * 2), abs=1e-3)


def test_both_puts_attributes_of_length_one_beside_the_embedding() -> None:
    crops = people([[0.6, 0.8]], attributes_of((0.3, 0.4)))
    signatures = Distance(features="both", metric="euclidean").signatures(crops)
    assert signatures.shape == (1, 34)
    assert signatures[0, :5] == pytest.approx([0.6, 0.8, 0.6, 0.8, 0])
    # of two vectors of length 1 the length is √2
    scaled = Distance(features="both").signatures(crops)
    assert scaled[0, :4] == pytest.approx(np.array([0.6, 0.8, 0.6, 0.8]) / 2**0.5)


def test_weights_are_of_squared_differences() -> None:
    distance = Distance(features="embedding", metric="euclidean", weights=(4, 0, 1))
    signatures = distance.signatures(people([[1, 5, 2], [2, 9, 4]]))
    assert signatures.tolist() == [[2, 0, 2], [4, 0, 4]]
    # 4 · 1² + 0 · 4² + 1 · 2² = 8
    assert ((signatures[0] - signatures[1]) ** 2).sum() == 8


def test_weights_come_before_the_scaling() -> None:
    distance = Distance(features="embedding", metric="normalized_euclidean", weights=(9, 16))
    assert distance.signatures(people([[1, 1]])) == pytest.approx(np.array([[0.6, 0.8]]))


def test_a_layer_has_a_row_for_each_column() -> None:
    distance = Distance(features="embedding", metric="euclidean", layer=((1, 0, 2), (0, 1, 1)))
    # 3 · (1, 0, 2) + 5 · (0, 1, 1)
    assert distance.signatures(people([[3, 5]])).tolist() == [[3, 5, 11]]
    scaled = distance.model_copy(update={"metric": "normalized_euclidean"})
    assert scaled.signatures(people([[0, 4]])) == pytest.approx(np.array([[0, 0.5**0.5, 0.5**0.5]]))


def test_what_a_distance_starts_from() -> None:
    crops = people([[3, 4]], attributes_of((0.5, 0)))
    assert columns(crops, "embedding").tolist() == [[3, 4]]
    assert columns(crops, "attributes").shape == (1, 32)
    assert columns(crops, "logits")[0, 0] == 0
    assert columns(crops, "both")[0, :4].tolist() == [3, 4, 1, 0]


@pytest.mark.parametrize(
    ("distance", "kind", "name"),
    [
        (Distance(features="embedding"), "plain", "embedding normalized_euclidean"),
        (Distance(features="both", metric="euclidean"), "plain", "both euclidean"),
        (
            Distance(features="logits", weights=(1,)),
            "weighted",
            "logits normalized_euclidean weighted",
        ),
        (
            Distance(features="attributes", metric="euclidean", layer=((1,),)),
            "learned",
            "attributes euclidean learned",
        ),
    ],
)
def test_kinds_and_names(distance: Distance, kind: str, name: str) -> None:
    assert distance.kind == kind
    assert distance.name == name


NUMBERS = st.floats(-1e6, 1e6)


@given(
    features=st.sampled_from(["embedding", "attributes", "logits", "both"]),
    metric=st.sampled_from(["euclidean", "normalized_euclidean"]),
    weights=st.none() | st.lists(st.floats(0, 1e6), min_size=1, max_size=4),
    layer=st.none()
    | st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
    ),
)
def test_json_there_and_back(
    features: str, metric: str, weights: list[float] | None, layer: list[list[float]] | None
) -> None:
    distance = Distance.model_validate(
        {
            "features": features,
            "metric": metric,
            "weights": None if layer else weights,
            "layer": layer,
        }
    )
    assert Distance.model_validate_json(distance.model_dump_json()) == distance
    assert Distance.model_validate(distance.model_dump(mode="json")) == distance


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Field required"),
        ({"features": "colour"}, "Input should be 'embedding'"),
        (
            {"features": "logits", "metric": "manhattan"},
            "Input should be 'euclidean' or 'normalized_euclidean'",
        ),
        ({"features": "logits", "scale": 2}, "Extra inputs are not permitted"),
        (
            {"features": "logits", "weights": (1.0,), "layer": ((1.0,),)},
            "weights or a layer, not both",
        ),
        ({"features": "logits", "weights": (1.0, -0.1)}, "a weight is negative"),
        ({"features": "logits", "weights": (float("nan"),)}, "finite number"),
        ({"features": "logits", "weights": (float("inf"),)}, "finite number"),
        ({"features": "logits", "layer": ((float("nan"),),)}, "finite number"),
        ({"features": "logits", "layer": ((1.0, 2.0), (1.0,))}, "differ in length"),
        ({"features": "logits", "layer": ()}, "layer"),
    ],
)
def test_impossible_distances(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Distance.model_validate(values)


@pytest.mark.parametrize(
    "options", [{"weights": (1.0, 1.0)}, {"layer": ((1.0, 0.0), (0.0, 1.0))}, {"weights": ()}]
)
def test_another_number_of_columns(options: dict[str, tuple]) -> None:
    distance = Distance(features="embedding", **options)
    with pytest.raises(InputError, match=r"made for \d columns, but there are 3: use it with"):
        distance.signatures(people([[1, 2, 3]]))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("features", ["embedding", "both"])
def test_values_that_are_no_numbers(features: str, wrong: float) -> None:
    with pytest.raises(InputError, match="Some embeddings are not numbers"):
        Distance.model_validate({"features": features}).signatures(people([[1], [wrong]]))


@pytest.mark.parametrize("features", ["attributes", "logits", "both"])
def test_probabilities_that_are_no_numbers(features: str) -> None:
    crops = people([[1.0]], attributes_of((np.nan, 1)))
    with pytest.raises(InputError, match="Some attribute probabilities are not between 0 and 1"):
        Distance.model_validate({"features": features}).signatures(crops)


def test_only_what_is_compared_must_be_numbers() -> None:
    crops = people([[3.0]], attributes_of((np.nan, 1)))
    assert Distance(features="embedding").signatures(crops).tolist() == [[1]]


def test_very_short_vectors_have_a_direction_or_none() -> None:
    distance = Distance(features="attributes", weights=(1, 1) + (0,) * 30)
    signatures = distance.signatures(people([[1.0]], attributes_of((1e-25, 1e-25))))
    assert np.linalg.norm(signatures) <= 1 + 1e-6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_too_large_for_float32() -> None:
    distance = Distance(features="embedding", weights=(1e300, 1.0))
    try:
        signatures = distance.signatures(people([[0, 1], [1, 1]]))
    except InputError:
        return
    assert np.isfinite(signatures).all()


def test_a_model_without_attributes_has_embeddings_alone() -> None:
    crops = Embeddings(Crops(["0.jpg"]), np.array([[3, 4]], np.float32), model="m")
    assert Distance(features="embedding").signatures(crops) == pytest.approx(np.array([[0.6, 0.8]]))
    for features in ("attributes", "logits", "both"):
        with pytest.raises(InputError, match="not trained on attributes"):
            Distance.model_validate({"features": features}).signatures(crops)


def test_what_to_choose_instead_of_the_cosine() -> None:
    with pytest.raises(ValidationError, match="choose normalized_euclidean, .* orders alike"):
        Distance.model_validate({"features": "embedding", "metric": "cosine"})


@given(st.integers(0, 1000))
def test_the_normalized_euclidean_distance_orders_as_the_cosine_does(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(8, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = 1 - unit @ unit[0]
    signatures = Distance(features="embedding").signatures(people(vectors.tolist()))
    apart = np.linalg.norm(signatures - signatures[0], axis=1)
    assert apart == pytest.approx(np.sqrt(np.maximum(2 * cosine, 0)), abs=1e-3)
    assert apart.argsort().tolist() == cosine.argsort().tolist()

"""The hand curve:

at most        1       2     4
same           0.5     0.8   1
different      0.01    0.1   1
ratio          50      10/3  2/9
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from passerby.calibration import Calibration, pool_attributes
from passerby.calibration.identity_pooling import share_of_pairs
from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Embeddings
from passerby.ranking import Distance

EUCLIDEAN = Distance(features="embedding", metric="euclidean")
HAND = {
    "distances": (1, 2, 4),
    "same": (0.5, 0.8, 1),
    "different": (0.01, 0.1, 1),
    "crops_per_person": 2,
    "persons": 10,
}
CALIBRATION = Calibration.model_validate(HAND)


def people(places: list[float], hats: list[float]) -> Embeddings:
    """Crops on a line, each with a probability of every attribute."""
    crops = Crops(tuple(Path(f"{i}.jpg") for i in range(len(places))))
    vectors = np.array(places, np.float32).reshape(-1, 1)
    attributes = np.repeat(np.array(hats, np.float32)[:, None], len(MARKET1501_ATTRIBUTES), axis=1)
    return Embeddings(crops, vectors, attributes, MARKET1501_ATTRIBUTES, "m")


def hats(found: Embeddings) -> NDArray[np.float32]:
    # some processors' matrix products round columns differently
    np.testing.assert_allclose(found.attributes, found.attributes[:, :1].repeat(32, 1), rtol=1e-5)
    return found.attributes[:, 0]


def ratio(distance: float) -> float:
    """Return what the hand curve says; farther than 4 there is nobody of either sort."""
    return 50 if distance <= 1 else 10 / 3 if distance <= 2 else 2 / 9


def reference(found: Embeddings) -> NDArray[np.float64]:
    """One pair after the other, and a library's search for the likeliest share."""
    places = found.vectors[:, 0].astype(np.float64)
    away = np.abs(places[:, None] - places)
    ratios = np.array([[ratio(d) for d in row] for row in away])
    others = ~np.eye(len(places), dtype=bool)
    gains = ratios[others] - 1
    share = minimize_scalar(
        # every pair is there twice, the added one once
        lambda share: -np.log1p(share * gains).sum() / 2 - np.log1p(-share),
        bounds=(0, 1 - 1e-9),
        method="bounded",
        options={"xatol": 1e-9},
    ).x
    weights = np.where(others, share * ratios / (share * ratios + 1 - share), 1)
    return (weights * found.attributes[:, 0]).sum(axis=1) / weights.sum(axis=1)


def test_by_hand() -> None:
    """Three crops at 0, 0.5 and 3.5: one pair of ratio 50, two of 2/9, and the added one of 0.

    The slope 49 / (1 + 49 π) − 2 (7/9) / (1 − 7/9 π) − 1 / (1 − π) is 0 at the root of
    49 (1 − 7/9 π) (1 − π) = (1 + 49 π) (23/9 − 21/9 π): 343 π² / 9 − 784 π / 9 + 49 =
    23/9 + 1106 π / 9 − 1029 π² / 9, so 1372 π² − 1890 π + 418 = 0.
    """
    share = (1890 - (1890**2 - 4 * 1372 * 418) ** 0.5) / (2 * 1372)
    near, far = (r * share / (r * share + 1 - share) for r in (50, 2 / 9))
    found = pool_attributes(people([0, 0.5, 3.5], [0.9, 0.1, 0.4]), EUCLIDEAN, CALIBRATION)
    expected = [
        (0.9 + near * 0.1 + far * 0.4) / (1 + near + far),
        (0.1 + near * 0.9 + far * 0.4) / (1 + near + far),
        (0.4 + far * (0.9 + 0.1)) / (1 + 2 * far),
    ]
    np.testing.assert_allclose(hats(found), expected, rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_as_the_slow_reference(seed: int) -> None:
    generator = np.random.default_rng(seed)
    middles = 3 * generator.random(4)
    places = generator.choice(middles, 12) + 0.4 * generator.standard_normal(12)
    before = people(places.tolist(), generator.random(12).tolist())
    found = pool_attributes(before, EUCLIDEAN, CALIBRATION)
    np.testing.assert_allclose(hats(found), reference(before), atol=1e-4)
    assert found.crops is before.crops
    assert found.vectors is before.vectors


def test_persons_seen_once_keep_their_attributes() -> None:
    """However many crops of a person the calibration expects."""
    before = people([0, 3, 6, 9], [0.1, 0.9, 0.2, 0.8])
    calibration = Calibration.model_validate({**HAND, "crops_per_person": 30.0})
    assert calibration.probability(np.array([3.0]), 4) > 0.4
    found = pool_attributes(before, EUCLIDEAN, calibration)
    np.testing.assert_allclose(hats(found), hats(before), atol=1e-6)


def test_what_hides_in_one_crop_shows_in_the_others() -> None:
    """Two persons, far apart, of whom one wears a hat that one crop does not show."""
    places = [0, 0.1, 0.2, 0.3, 100, 100.1, 100.2, 100.3]
    sure = Calibration.model_validate({**HAND, "same": (0.9, 1, 1), "different": (0, 1e-5, 1)})
    before = people(places, [1, 1, 1, 0, 0, 0, 0, 0])
    found = hats(pool_attributes(before, EUCLIDEAN, sure))
    np.testing.assert_allclose(found, [0.75] * 4 + [0] * 4, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_else_is_there(count: int) -> None:
    before = people([1.0] * count, [0.3] * count)
    found = pool_attributes(before, EUCLIDEAN, CALIBRATION)
    np.testing.assert_array_equal(found.attributes, before.attributes)


def test_distances_that_tell_nothing() -> None:
    """All pairs of one person are farther apart than all of two: pooled, every ratio is 1."""
    useless = Calibration.model_validate(
        {**HAND, "same": (0.0, 0.0, 1.0), "different": (0.9, 1.0, 1.0)}
    )
    before = people([0, 0.5, 3], [0.1, 0.9, 0.2])
    np.testing.assert_allclose(useless.likelihood_ratios, 1)
    found = pool_attributes(before, EUCLIDEAN, useless)
    np.testing.assert_allclose(hats(found), hats(before), atol=1e-6)


def test_crops_that_are_all_equal() -> None:
    """Ten pairs of ratio 50 and the added one: 490 / (1 + 49 π) = 1 / (1 − π) at π = 489 / 539."""
    odds = 50 * (489 / 539) / (50 / 539)
    weight = odds / (1 + odds)
    found = pool_attributes(people([1.0] * 5, [1, 0, 0, 0, 1]), EUCLIDEAN, CALIBRATION)
    total = 1 + 4 * weight
    hat, none = (1 + weight) / total, 2 * weight / total
    np.testing.assert_allclose(hats(found), [hat, none, none, none, hat], rtol=1e-5)


def test_averages_of_ones_are_no_more_than_one() -> None:
    """Else a distance of the attributes would refuse them; sums of weights are rounded."""
    places = np.random.default_rng(0).normal(0, 2, 300)
    found = pool_attributes(people(places.tolist(), [1.0] * 300), EUCLIDEAN, CALIBRATION)
    assert 1 - 1e-5 < found.attributes.min() <= found.attributes.max() <= 1


def test_a_damaged_embedding() -> None:
    with pytest.raises(InputError, match="embeddings are not numbers: embed these crops again"):
        pool_attributes(people([0, float("nan")], [0, 1]), EUCLIDEAN, CALIBRATION)
    with pytest.raises(InputError, match="probabilities are not between 0 and 1"):
        pool_attributes(people([0, 1], [0, float("nan")]), EUCLIDEAN, CALIBRATION)


def test_the_share_of_pairs_by_hand() -> None:
    """With the added pair: of log(1 + 3 π) + log(1 − π) the slope is 0 where 3 − 3 π = 1 + 3 π."""
    assert share_of_pairs(np.array([4.0]), np.array([1])) == pytest.approx(1 / 3)
    assert share_of_pairs(np.array([1.9, 0.1]), np.array([1, 3])) == 0
    assert share_of_pairs(np.array([]), np.array([])) == 0


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.integers(1, 10**9)), min_size=1, max_size=20),
    st.floats(0, 0.999),
)
def test_no_other_share_is_likelier(pairs: list[tuple[float, int]], other: float) -> None:
    ratios, counts = (np.array(part) for part in zip(*pairs, strict=True))
    share = share_of_pairs(ratios, counts)

    def likelihood(share: float) -> float:
        pairs = (counts * np.log1p(share * (ratios - 1))).sum()
        return float((pairs + np.log1p(-share)) / counts.sum())

    assert 0 <= share < 1
    assert likelihood(share) >= likelihood(other) - 1e-9

"""The hand curve:

at most        1     2     3     4
same           0.25  0.5   0.75  1
different      0     0.1   0.2   1
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.isotonic import IsotonicRegression

from passerby.calibration.calibration import Calibration, falling_ratio
from passerby.errors import InputError

HAND = {
    "distances": (1, 2, 3, 4),
    "same": (0.25, 0.5, 0.75, 1),
    "different": (0, 0.1, 0.2, 1),
    "crops_per_person": 4,
    "persons": 10,
}


def by_hand(**changes: object) -> Calibration:
    return Calibration.model_validate({**HAND, **changes})


def random_curves(seed: int) -> Calibration:
    """Pairs at distances 0 … 9, one person's nearer on average; some intervals hold no pair."""
    generator = np.random.default_rng(seed)
    same = generator.integers(0, 8, generator.integers(1, 12))
    different = generator.integers(2, 10, generator.integers(1, 30))
    distances = np.unique(np.concatenate([same, different, [0, 9]]))
    return Calibration(
        distances=tuple(distances.tolist()),
        same=tuple((same <= d).mean() for d in distances),
        different=tuple((different <= d).mean() for d in distances),
        crops_per_person=float(generator.integers(1, 20)),
        persons=5,
    )


def test_thresholds_for_a_recall() -> None:
    curve = by_hand()
    assert curve.threshold_for_recall(0.25) == 1
    assert curve.threshold_for_recall(0.75) == 3
    # halfway between 0.5 and 0.75
    assert curve.threshold_for_recall(0.625) == pytest.approx(2.5)
    assert curve.threshold_for_recall(1) == 4
    # less than the nearest point admits anyway
    assert curve.threshold_for_recall(0.01) == 1


@pytest.mark.parametrize(("recall", "expected"), [(0.5, 1), (1.0, 3)])
def test_the_smallest_distance_with_that_recall(recall: float, expected: float) -> None:
    assert by_hand(same=(0.5, 0.5, 1, 1)).threshold_for_recall(recall) == expected


def test_thresholds_for_a_false_match_rate() -> None:
    curve = by_hand()
    assert curve.threshold_for_false_match_rate(0.1) == 2
    assert curve.threshold_for_false_match_rate(0.0999) == 1
    assert curve.threshold_for_false_match_rate(0.99) == 3
    assert curve.threshold_for_false_match_rate(1) == 4
    # of equal rates the largest distance
    assert by_hand(different=(0, 0.1, 0.1, 1)).threshold_for_false_match_rate(0.1) == 3


def test_a_false_match_rate_that_the_nearest_pair_breaks() -> None:
    curve = by_hand(different=(0.01, 0.1, 0.2, 1))
    assert curve.threshold_for_false_match_rate(0.001) < 1


@pytest.mark.parametrize("value", [0, -0.1, 1.01, float("nan")])
def test_rates_out_of_range(value: float) -> None:
    with pytest.raises(InputError, match="wanted recall is .* above 0 and up to 1"):
        by_hand().threshold_for_recall(value)
    with pytest.raises(InputError, match="wanted false-match rate is .* above 0 and up to 1"):
        by_hand().threshold_for_false_match_rate(value)


def test_the_best_f_beta_by_hand() -> None:
    """Of a gallery of 14 crops 4 are right and 10 wrong.

    at        1         2         3         4
    hits      1         2         3         4
    errors    0         1         2         10
    F1        2 / 5     4 / 7     6 / 9     8 / 18
    F2        5 / 17    10 / 19   15 / 21   20 / 30
    """
    assert by_hand().threshold_for_f_beta(1, 14) == 3
    assert by_hand().threshold_for_f_beta(2, 14) == 3
    # 20 times more weight on recall: (401 · 3) / (1600 + 5) < (401 · 4) / (1600 + 14)
    assert by_hand().threshold_for_f_beta(20, 14) == 4
    # 9996 wrong: 2 / 5 at 1, where nobody is wrong; everywhere else at most 4 / 1006
    assert by_hand().threshold_for_f_beta(1, 10_000) == 1


@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.integers(1, 500))
def test_no_other_distance_has_a_better_f_beta(seed: int, beta: float, gallery: int) -> None:
    curve = random_curves(seed)
    right = min(curve.crops_per_person, gallery)

    def f_beta(place: int) -> float:
        hits = right * curve.same[place]
        returned = hits + (gallery - right) * curve.different[place]
        return (1 + beta**2) * hits / (beta**2 * right + returned)

    chosen = curve.distances.index(curve.threshold_for_f_beta(beta, gallery))
    assert f_beta(chosen) >= max(map(f_beta, range(len(curve.distances)))) - 1e-12


def test_what_has_no_best_f_beta() -> None:
    for beta in (0, -1, float("nan")):
        with pytest.raises(InputError, match="beta is .* choose a number above 0"):
            by_hand().threshold_for_f_beta(beta, 10)
    with pytest.raises(InputError, match="gallery is empty"):
        by_hand().threshold_for_f_beta(2, 0)
    with pytest.raises(InputError, match="gallery is empty"):
        by_hand().probability(np.zeros(1), 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("beta", [float("inf"), 1e200])
def test_a_beta_beyond_all_bounds(beta: float) -> None:
    with pytest.raises(InputError, match="beta"):
        by_hand().threshold_for_f_beta(beta, 10)


def test_probabilities_by_hand() -> None:
    """In the gallery 4 crops are right and 10 wrong: prior odds of 0.4.

    interval     ≤ 1     ≤ 2     ≤ 3     ≤ 4     beyond
    same         0.25    0.25    0.25    0.25    0
    different    0       0.1     0.1     0.8     0
    ratio        ∞       2.5     2.5     0.3125  ?

    To each a millionth is added, so the first ratio is 250001, and beyond the last point, where
    there was no pair, the ratio would be 1: it is pooled with the last interval.
    """
    found = by_hand().probability(np.array([[0.0, 1.0], [1.5, 3.0], [4.0, 99.0]]), 14)
    # odds: 100000.4; 2.5 · 0.4 = 1; 0.3125 · 0.4 = 0.125
    expected = [[1.0, 1.0], [0.5, 0.5], [1 / 9, 1 / 9]]
    assert found == pytest.approx(np.array(expected), abs=2e-5)
    assert found.max() < 1


def slow_probabilities(curve: Calibration, distances: np.ndarray, gallery: int) -> list[float]:
    """The share of right answers among crops of the interval, by another isotonic regression."""
    same = [b - a for a, b in zip((0, *curve.same), (*curve.same, 1), strict=True)]
    different = [b - a for a, b in zip((0, *curve.different), (*curve.different, 1), strict=True)]
    ratios = [(s + 1e-6) / (d + 1e-6) for s, d in zip(same, different, strict=True)]
    weights = [d + 1e-6 for d in different]
    falling = IsotonicRegression(increasing=False).fit_transform(
        range(len(ratios)), ratios, sample_weight=weights
    )
    right = min(curve.crops_per_person, gallery)
    wrong = max(gallery - right, 1)
    found = []
    for distance in distances:
        likelier = falling[sum(point < distance for point in curve.distances)]
        found.append(likelier * right / (likelier * right + wrong))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_probabilities_against_a_slow_reference(seed: int, gallery: int) -> None:
    curve = random_curves(seed)
    distances = np.arange(-1, 11, 0.5)
    expected = slow_probabilities(curve, distances, gallery)
    assert curve.probability(distances, gallery) == pytest.approx(np.array(expected), rel=1e-6)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.floats(-10, 20), min_size=2, max_size=20).map(sorted),
    st.integers(1, 10_000),
)
def test_probabilities_never_rise(seed: int, distances: list[float], gallery: int) -> None:
    curve = random_curves(seed)
    found = curve.probability(np.array(distances), gallery)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= 0).all()
    # the larger the gallery, the rarer the person in it
    if gallery > curve.crops_per_person:
        assert (curve.probability(np.array(distances), 2 * gallery) <= found).all()


def test_falling_ratio_by_hand() -> None:
    # 3, 1, 2, 0: the rising pair becomes (1 + 4) / (1 + 2)
    found = falling_ratio(np.array([3.0, 1, 4, 0]), np.array([1.0, 1, 2, 5]))
    assert found == pytest.approx([3, 5 / 3, 5 / 3, 0])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([0.5, 1.0, 2.0, 7.0])),
        min_size=1,
        max_size=40,
    )
)
def test_falling_ratio_against_scikit_learn(pairs: list[tuple[int, float]]) -> None:
    parts = np.array([part for part, _ in pairs], np.float64)
    wholes = np.array([whole for _, whole in pairs])
    expected = IsotonicRegression(increasing=False).fit_transform(
        np.arange(len(pairs)), parts / wholes, sample_weight=wholes
    )
    found = falling_ratio(parts, wholes)
    assert found == pytest.approx(expected, abs=1e-9)
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distances": (1,), "same": (1,), "different": (1,)}, "at least 2 items"),
        ({"distances": (1, 2, 4, 3)}, "distances must be 4 numbers that never fall"),
        ({"same": (0.5, 0.4, 0.6, 1)}, "same must be 4 numbers that never fall"),
        ({"same": (0.5, 1)}, "same must be 4 numbers that never fall"),
        ({"different": (0, 1)}, "different must be 4 numbers that never fall"),
        ({"different": (0, 0, 0, 1.1)}, "different must lie between 0 and 1"),
        ({"same": (-0.1, 0, 0, 1)}, "same must lie between 0 and 1"),
        ({"same": (0, 0, float("nan"), 1)}, "finite number"),
        ({"crops_per_person": 0}, "greater than 0"),
        ({"crops_per_person": float("inf")}, "finite number"),
        ({"persons": 1}, "greater than or equal to 2"),
        ({"gallery": 3}, "Extra inputs"),
    ],
)
def test_impossible_calibrations(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        by_hand(**changes)


def test_json_there_and_back() -> None:
    curve = by_hand()
    # a cached ratio is not a part of it
    curve.probability(np.zeros(1), 3)
    assert Calibration.model_validate_json(curve.model_dump_json()) == by_hand()

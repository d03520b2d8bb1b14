import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerby.evaluation import best_thresholds

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5001, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def f_beta(scores: np.ndarray, labels: np.ndarray, threshold: float, beta: float) -> float:
    answers = scores >= threshold
    hits = (answers & labels).sum()
    whole = beta**2 * labels.sum() + answers.sum()
    return float((1 + beta**2) * hits / whole) if whole else 0.0


def test_by_hand() -> None:
    scores = np.array([[0.9], [0.8], [0.6], [0.2]])
    labels = np.array([[True], [False], [True], [False]])
    # cutting after the third crop: 2 hits of 2, 3 returned: F1 = 4 / 5
    assert best_thresholds(scores, labels) == pytest.approx([0.4])
    # precision counts four times: after the first, 1.25 · 1 / (0.5 + 1) = 0.83, the best
    assert best_thresholds(scores, labels, beta=0.5) == pytest.approx([0.85])


def test_an_attribute_nobody_has_keeps_one_half() -> None:
    assert best_thresholds(np.array([[0.9], [0.1]]), np.zeros((2, 1), bool)).tolist() == [0.5]


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@given(SCORES)
def test_no_other_threshold_is_better(beta: float, crops: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in crops])
    labels = np.array([label for _, label in crops])
    chosen = float(best_thresholds(scores[:, None], labels[:, None], beta)[0])
    assert 0 <= chosen <= 1
    if labels.any():
        best = max(f_beta(scores, labels, t, beta) for t in np.linspace(0, 1.01, 203))
        assert f_beta(scores, labels, chosen, beta) >= best - 1e-9

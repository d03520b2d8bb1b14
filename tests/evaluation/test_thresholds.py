from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import numbered

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.evaluation import best_thresholds, choose_decision
from passerby.inference import Embeddings

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


def people(probabilities: list[float], has: list[bool]) -> Embeddings:
    """Eight crops of eight persons, of whom the first attribute is looked at."""
    count = len(has)
    labels = np.zeros((count, len(MARKET1501_ATTRIBUTES)), np.bool_)
    attributes = np.zeros((count, len(MARKET1501_ATTRIBUTES)), np.float32)
    labels[:, BACKPACK], attributes[:, BACKPACK] = has, probabilities
    crops = Crops(
        paths=tuple(Path(f"{i}.jpg") for i in range(count)),
        **numbered(range(1, count + 1)),
        labels=labels,
        schema=MARKET1501_ATTRIBUTES,
    )
    return Embeddings(
        crops, np.ones((count, 1), np.float32), attributes, MARKET1501_ATTRIBUTES, "m"
    )


BACKPACK = MARKET1501_ATTRIBUTES.names.index("backpack")


def test_thresholds_are_taken_where_they_help_other_persons() -> None:
    """Everybody with a backpack is at 0.3 or 0.35, the others at 0.1: 0.5 finds nobody."""
    found = choose_decision(people([0.3, 0.35, 0.1, 0.1] * 2, [True, True, False, False] * 2))
    assert found.rule == "thresholds"
    assert found.thresholds is not None
    assert 0.1 < found.thresholds[BACKPACK] <= 0.3


def test_thresholds_that_hold_for_half_of_the_persons_only_are_not_taken() -> None:
    """The odd persons ask for a threshold below 0.2, the even ones for one above 0.6."""
    odd = [(0.9, True), (0.2, True), (0.1, False), (0.1, False)]
    even = [(0.9, True), (0.9, True), (0.6, False), (0.1, False)]
    rows = [pair for both in zip(odd, even, strict=True) for pair in both]
    assert choose_decision(people(*map(list, zip(*rows, strict=True)))).rule == "group"  # type: ignore[arg-type]


def test_nothing_to_choose_by() -> None:
    known = people([0.5] * 4, [True, False] * 2)
    unlabelled = replace(known, crops=known.crops.without_labels())
    with pytest.raises(InputError, match="no attribute annotations"):
        choose_decision(unlabelled)


def test_unknown_labels_choose_nothing() -> None:
    """As by hand above, with two more crops that nobody labelled."""
    scores = np.array([[0.9], [0.85], [0.8], [0.6], [0.5], [0.2]])
    labels = np.array([[1], [np.nan], [0], [1], [np.nan], [0]], np.float32)
    assert best_thresholds(scores, labels) == pytest.approx([0.4])
    assert best_thresholds(scores, np.full((6, 1), np.nan)).tolist() == [0.5]


def test_crops_without_a_person_are_halved_as_they_come() -> None:
    known = people([0.3, 0.35, 0.1, 0.1] * 2, [True, True, False, False] * 2)
    alone = replace(known, crops=known.crops.replace(person=None))
    assert choose_decision(alone) == choose_decision(known)


def test_one_annotated_person_cannot_check_thresholds() -> None:
    known = people([0.3, 0.35, 0.1, 0.1], [True, True, False, False])
    labels = np.full_like(known.crops.labels, np.nan)
    labels[0] = known.crops.labels[0]
    assert choose_decision(replace(known, crops=known.crops.replace(labels=labels))).rule == "group"

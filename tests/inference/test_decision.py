import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.inference import Decision

PROBABILITIES = arrays(np.float32, (3, 32), elements=st.floats(0, 1, width=32))


def answered(decision: Decision, **given_: float) -> set[str]:
    probabilities = np.zeros((1, 32), np.float32)
    for name, value in given_.items():
        probabilities[0, MARKET1501_ATTRIBUTES.index(name)] = value
    labels = decision.labels(probabilities, MARKET1501_ATTRIBUTES)[0]
    return {a for a, label in zip(MARKET1501_ATTRIBUTES.names, labels, strict=True) if label}


def test_fixed_takes_one_half_and_more() -> None:
    assert answered(Decision("fixed"), hat=0.5, bag=0.49, upred=0.6, upblue=0.7, adult=0.4) == {
        "hat",
        "upred",
        "upblue",
    }


def test_group_takes_the_most_probable_in_each_group() -> None:
    found = answered(Decision("group"), hat=0.5, upred=0.6, upblue=0.7, adult=0.4, downpink=0.01)
    assert found == {"hat", "upblue", "adult", "downpink"}


def test_thresholds_are_the_attributes_own() -> None:
    thresholds = [0.5] * 32
    thresholds[MARKET1501_ATTRIBUTES.index("hat")] = 0.2
    decision = Decision("thresholds", tuple(thresholds))
    assert answered(decision, hat=0.2, bag=0.4, upred=0.6) == {"hat", "upred"}


@given(PROBABILITIES)
def test_group_gives_every_group_exactly_one(probabilities: np.ndarray) -> None:
    labels = Decision("group").labels(probabilities, MARKET1501_ATTRIBUTES)
    for where in MARKET1501_ATTRIBUTES.groups.values():
        assert (labels[:, where].sum(axis=1) == 1).all()


@pytest.mark.parametrize("rule", ["thresholds", "fixed"])
def test_thresholds_come_with_their_rule(rule: str) -> None:
    with pytest.raises(InputError, match=r"not come together: train with data\.calib"):
        Decision(rule, None if rule == "thresholds" else (0.5,) * 32)  # type: ignore[arg-type]


def test_an_unknown_rule() -> None:
    with pytest.raises(InputError, match="'best' is not a decision rule: choose from fixed, group"):
        Decision("best")  # type: ignore[arg-type]


def test_prevalence_takes_what_is_likelier_than_in_training() -> None:
    frequencies = [0.5] * 32
    frequencies[MARKET1501_ATTRIBUTES.index("hat")] = 0.02
    frequencies[MARKET1501_ATTRIBUTES.index("adult")] = 0.8
    decision = Decision.at_prevalence(frequencies)
    assert answered(decision, hat=0.03, adult=0.79, bag=0.5) == {"hat", "bag"}


def test_prevalence_of_what_nobody_or_everybody_had_is_one_half() -> None:
    decision = Decision.at_prevalence([0.0, 1.0, *[0.3] * 30])
    assert answered(decision, young=0.49, teenager=0.51) == {"teenager"}


def test_deepmar_shifts_the_log_odds_as_its_weights_do() -> None:
    frequencies = [0.1, 0.5, 0.9, *[0.3] * 29]
    decision = Decision.at_deepmar(frequencies)
    for p, threshold in zip(frequencies, decision.thresholds or (), strict=True):
        positive, negative = np.exp(1 - p), np.exp(p)
        # where the weighted loss is as high for a yes as for a no
        assert positive * threshold == pytest.approx(negative * (1 - threshold))


def test_prevalence_has_the_highest_ma_of_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.beta(0.5, 3, 200_000)
    labels = rng.random(len(probabilities)) < probabilities

    def ma(threshold: float) -> float:
        answers = probabilities >= threshold
        return float((answers[labels].mean() + (~answers[~labels]).mean()) / 2)

    best = max(np.linspace(0.02, 0.6, 59), key=ma)
    assert best == pytest.approx(labels.mean(), abs=0.03)
    assert ma(labels.mean()) > ma(0.5) + 0.05

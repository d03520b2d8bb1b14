import pytest

from passerby.calibration.answer_rule import AnswerRule
from passerby.calibration.calibration import Calibration
from passerby.errors import InputError

CALIBRATION = Calibration(
    distances=(1, 2, 3, 4),
    same=(0.25, 0.5, 0.75, 1),
    different=(0, 0.1, 0.2, 1),
    crops_per_person=4,
    persons=10,
)
NOTHING = {
    "beta": None,
    "recall": None,
    "false_match_rate": None,
    "threshold": None,
    "top_k": None,
    "gap": False,
}


def test_without_a_wish_the_best_f2() -> None:
    assert AnswerRule.chosen(**NOTHING) == AnswerRule("beta", 2.0)
    assert AnswerRule.chosen() == AnswerRule()


@pytest.mark.parametrize(
    ("name", "value"),
    [("beta", 1.0), ("recall", 0.9), ("false_match_rate", 0.01), ("threshold", 0.4), ("top_k", 5)],
)
def test_the_one_that_was_given(name: str, value: float) -> None:
    rule = AnswerRule.chosen(**{**NOTHING, name: value})
    assert (rule.rule, rule.value) == (name, value)


def test_the_gap_needs_no_value() -> None:
    assert AnswerRule.chosen(**{**NOTHING, "gap": True}).rule == "gap"


def test_one_rule_at_a_time() -> None:
    with pytest.raises(InputError, match="`false_match_rate` and `gap` exclude each other"):
        AnswerRule.chosen(**{**NOTHING, "false_match_rate": 0.1, "gap": True})


def test_thresholds() -> None:
    assert AnswerRule("top_k", 5).threshold(None, 10) is None
    assert AnswerRule("gap").threshold(None, 10) is None
    assert AnswerRule("threshold", 0.4).threshold(None, 10) == 0.4
    assert AnswerRule("recall", 0.75).threshold(CALIBRATION, 10) == 3
    assert AnswerRule("false_match_rate", 0.1).threshold(CALIBRATION, 10) == 2
    # 4 right, 6 wrong: F2 at 3 is 5 · 3 / (16 + 3 + 1.2) = 0.74, at 4 it is 20 / (16 + 10) = 0.77
    assert AnswerRule("beta", 2).threshold(CALIBRATION, 10) == 4
    # 996 wrong: at 1 it is 5 / (16 + 1 + 0) = 0.29, at 2 it is 10 / (16 + 2 + 99.6) = 0.09
    assert AnswerRule("beta", 2).threshold(CALIBRATION, 1000) == 1


@pytest.mark.parametrize("rule", ["beta", "recall", "false_match_rate"])
def test_a_distance_that_is_not_calibrated(rule: str) -> None:
    with pytest.raises(InputError, match="not calibrated, so no threshold is known"):
        AnswerRule(rule, 0.5).threshold(None, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ("recall", 1.1, "recall is 1.1"),
        ("false_match_rate", 0.0, "rate is 0.0"),
        ("beta", 0.0, "beta is 0.0"),
    ],
)
def test_values_out_of_range(rule: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AnswerRule(rule, value).threshold(CALIBRATION, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["threshold", "recall", "false_match_rate", "beta"])
def test_zero_is_a_value(name: str) -> None:
    assert AnswerRule.chosen(**{**NOTHING, name: 0.0}) == AnswerRule(name, 0.0)  # type: ignore[arg-type]


def test_a_threshold_that_is_no_number() -> None:
    with pytest.raises(InputError, match="`threshold` is not a number"):
        AnswerRule.chosen(**{**NOTHING, "threshold": float("nan")})


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ("nearest", 3, "'nearest' is not a rule for answer sets: choose from beta, recall, .*gap"),
        ("recall", "high", "`recall` is not a number"),
        ("beta", float("nan"), "`beta` is not a number"),
        ("top_k", 0, "`top_k` is 0: give a whole number of at least 1"),
        ("top_k", 2.5, "`top_k` is 2.5"),
        ("top_k", float("inf"), "`top_k` is inf"),
    ],
)
def test_what_is_no_rule(rule: object, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AnswerRule(rule, value)  # type: ignore[arg-type]

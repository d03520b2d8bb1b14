"""How many of the nearest crops an answer set holds."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from passerby.calibration.calibration import Calibration
from passerby.errors import InputError

Rule = Literal["beta", "recall", "false_match_rate", "threshold", "top_k", "gap"]

_LARGEST = 2**53
"""Of the whole numbers that a float can tell apart."""


@dataclass(frozen=True)
class AnswerRule:
    """Where answer sets are cut.

    Attributes:
        rule: "beta", the threshold with the best expected F-beta; "recall" and
            "false_match_rate", the threshold for a wanted rate; "threshold", a given distance;
            "top_k", a number of crops; "gap", the largest gap between neighbouring distances.
        value: of the rule; meaningless for "gap".

    Raises:
        InputError: the rule is unknown, or its value is not a number; of "top_k" not a whole one
            of at least 1. Other values are checked with the calibration (`threshold`).
    """

    rule: Rule = "beta"
    value: float = 2.0

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise InputError(
                f"{self.rule!r} is not a rule for answer sets: choose from "
                f"{', '.join(get_args(Rule))}."
            )
        if not isinstance(self.value, int | float) or math.isnan(self.value):
            raise InputError(f"`{self.rule}` is not a number: give one.")
        if self.rule == "top_k" and not (self.value >= 1 and float(self.value).is_integer()):
            raise InputError(f"`top_k` is {self.value}: give a whole number of at least 1.")

    @classmethod
    def chosen(cls, **options: float | bool | None) -> "AnswerRule":
        """Return the one rule that was given a value; the best F2 if none was.

        Raises:
            InputError: several were.
        """
        given = [
            (name, value)
            for name, value in options.items()
            if value is not None and value is not False
        ]
        if len(given) > 1:
            names = " and ".join(f"`{name}`" for name, _ in given)
            raise InputError(f"{names} exclude each other: give one of them.")
        if not given:
            return cls()
        name, value = given[0]
        return cls(name, float(min(value, _LARGEST)))  # type: ignore[arg-type]

    def threshold(self, calibration: Calibration | None, gallery: int) -> float | None:
        """Return the largest distance of an answer; None if the rule sets none.

        Args:
            calibration: of the distance.
            gallery: how many crops are searched.

        Raises:
            InputError: the rule needs a calibration, or its value is out of range.
        """
        if self.rule in ("top_k", "gap"):
            return None
        if self.rule == "threshold":
            return self.value
        if calibration is None:
            raise InputError(
                "The model's distance is not calibrated, so no threshold is known: calibrate it, "
                "or give `threshold`, `top_k` or `gap`."
            )
        if self.rule == "recall":
            return calibration.threshold_for_recall(self.value)
        if self.rule == "false_match_rate":
            return calibration.threshold_for_false_match_rate(self.value)
        return calibration.threshold_for_f_beta(self.value, gallery)

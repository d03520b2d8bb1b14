"""How many of the nearest crops an answer set holds."""

import math
from dataclasses import dataclass
from typing import Literal

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
    """

    rule: Rule = "beta"
    value: float = 2.0

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
        value = min(value, _LARGEST)
        if math.isnan(value):
            raise InputError(f"`{name}` is not a number: give one.")
        return cls(name, float(value))  # type: ignore[arg-type]

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

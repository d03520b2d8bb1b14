"""Decision rules: from attribute probabilities to labels."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema
from passerby.errors import InputError

Rule = Literal["fixed", "group", "thresholds"]
RULES: tuple[str, ...] = get_args(Rule)


@dataclass(frozen=True)
class Decision:
    """When an attribute counts as present.

    Attributes:
        rule: "fixed", a probability of at least 0.5; "group", the same for single attributes and
            the most probable one (exactly one) in each exclusive group; "thresholds", a
            probability of at least the attribute's own threshold.
        thresholds: one for each attribute, in [0, 1]; given exactly when the rule is
            "thresholds".
    """

    rule: Rule = "group"
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"{self.rule!r} is no decision rule: choose from {', '.join(RULES)}.")
        if (self.rule == "thresholds") != (self.thresholds is not None):
            raise InputError(
                "The decision rule 'thresholds' and its thresholds come together: "
                "train with data.calibration_persons to have them chosen."
            )

    def labels(self, probabilities: NDArray[np.floating], schema: Schema) -> NDArray[np.bool_]:
        """Decide.

        Args:
            probabilities: shape (N, attributes), in [0, 1].
            schema: names the exclusive groups.

        Returns:
            bool, shape (N, attributes).
        """
        if self.rule == "thresholds":
            return probabilities >= np.array(self.thresholds)
        labels = probabilities >= 0.5
        if self.rule == "group":
            for where in schema.groups.values():
                best = probabilities[:, where].argmax(axis=1)
                labels[:, where] = best[:, None] == np.arange(where.stop - where.start)
        return labels

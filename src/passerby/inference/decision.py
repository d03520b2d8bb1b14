"""Decision rules: from attribute probabilities to labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema
from passerby.errors import InputError

Rule = Literal["fixed", "group", "thresholds", "prevalence", "deepmar"]
RULES: tuple[str, ...] = get_args(Rule)
BY_FREQUENCY = ("prevalence", "deepmar")
"""Rules whose thresholds follow from how frequent each attribute was in training."""


@dataclass(frozen=True)
class Decision:
    """When an attribute counts as present.

    Attributes:
        rule: "fixed", a probability of at least 0.5; "group", the same for single attributes and
            the most probable one (exactly one) in each exclusive group; "thresholds", a
            probability of at least the attribute's own threshold; "prevalence", a probability of
            at least the fraction of training persons who have the attribute; "deepmar", the
            threshold that DeepMAR's weights of the loss amount to.
        thresholds: one for each attribute, in [0, 1]; given exactly when the rule is none of
            "fixed" and "group".
    """

    rule: Rule = "group"
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(
                f"{self.rule!r} is not a decision rule: choose from {', '.join(RULES)}."
            )
        if (self.rule in ("thresholds", *BY_FREQUENCY)) != (self.thresholds is not None):
            raise InputError(
                f"The decision rule {self.rule!r} and its thresholds do not come together: "
                "train with data.calibration_persons to have them chosen."
            )

    @classmethod
    def at_prevalence(cls, frequencies: Sequence[float]) -> Self:
        """Return the rule "prevalence".

        Of all thresholds it has the highest expected mA if the probabilities are calibrated (Menon
        et al., "On the Statistical Consistency of Algorithms for Binary Classification under Class
        Imbalance", ICML 2013). An attribute that nobody or everybody had keeps one half.

        Args:
            frequencies: fraction of training persons who have each attribute.
        """
        return cls("prevalence", tuple(p if 0 < p < 1 else 0.5 for p in frequencies))

    @classmethod
    def at_deepmar(cls, frequencies: Sequence[float]) -> Self:
        """Return the rule "deepmar".

        A loss that weights positives by exp(1 − p) and negatives by exp(p) (Li et al., ACPR 2015,
        eq. 3, σ = 1) adds 1 − 2p to an attribute's log-odds, so one half becomes the threshold
        1 / (1 + exp(1 − 2p)) of probabilities that were learned without weights.

        Args:
            frequencies: fraction p of training persons who have each attribute.
        """
        return cls("deepmar", tuple(1 / (1 + math.exp(1 - 2 * p)) for p in frequencies))

    def labels(self, probabilities: NDArray[np.floating], schema: Schema) -> NDArray[np.bool_]:
        """Decide.

        Args:
            probabilities: shape (N, attributes), in [0, 1].
            schema: names the exclusive groups.

        Returns:
            bool, shape (N, attributes).
        """
        if self.thresholds is not None:
            return probabilities >= np.array(self.thresholds)
        labels = probabilities >= 0.5
        if self.rule == "group":
            for where in schema.groups.values():
                best = probabilities[:, where].argmax(axis=1)
                labels[:, where] = best[:, None] == np.arange(where.stop - where.start)
        return labels

"""What a distance means: how often the same, and how often different persons are that near."""

from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from passerby.errors import InputError

_LARGEST_BETA = 1000.0


class Calibration(BaseModel):
    """Two curves over a distance, measured on persons that the model was not trained on.

    Attributes:
        distances: ascending, at least 2.
        same: fraction of the pairs of crops of one person that are at most so far apart (the true
            match rate); not falling.
        different: the same for crops of two persons (the false match rate).
        crops_per_person: mean number of the others' crops of one person, expected in a gallery.
        persons: on how many it was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    distances: tuple[float, ...] = Field(min_length=2)
    same: tuple[float, ...]
    different: tuple[float, ...]
    crops_per_person: float = Field(gt=0)
    persons: int = Field(ge=2)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("distances", "same", "different"):
            values = np.array(getattr(self, name))
            if len(values) != len(self.distances) or (np.diff(values) < 0).any():
                raise ValueError(f"{name} must be {len(self.distances)} numbers that never fall")
        for name in ("same", "different"):
            if not 0 <= getattr(self, name)[0] <= getattr(self, name)[-1] <= 1:
                raise ValueError(f"{name} must lie between 0 and 1")
        return self

    def threshold_for_recall(self, recall: float) -> float:
        """Return the smallest distance that admits this fraction of the right answers.

        Args:
            recall: wanted, in (0, 1].

        Raises:
            InputError: it is out of range.
        """
        _check_fraction("The wanted recall", recall)
        # of a flat stretch the first distance, which np.interp over all would not find
        after = int(np.searchsorted(self.same, recall, side="left"))
        if after in (0, len(self.same)):
            return self.distances[min(after, len(self.same) - 1)]
        part = slice(after - 1, after + 1)
        return float(np.interp(recall, self.same[part], self.distances[part]))

    def threshold_for_false_match_rate(self, rate: float) -> float:
        """Return the largest distance that admits at most this fraction of the wrong crops.

        Args:
            rate: wanted, in (0, 1].

        Raises:
            InputError: it is out of range.
        """
        _check_fraction("The wanted false-match rate", rate)
        reached = int(np.searchsorted(self.different, rate, side="right")) - 1
        nearer_than_any = float(np.nextafter(self.distances[0], -np.inf))
        return self.distances[reached] if reached >= 0 else nearer_than_any

    def threshold_for_f_beta(self, beta: float, gallery: int) -> float:
        """Return the distance with the highest expected F-beta of the answer sets.

        Args:
            beta: weight of recall against precision; 2 rather takes wrong crops than loses a
                right one.
            gallery: how many crops are searched: the more, the stricter.

        Raises:
            InputError: beta is out of range, or the gallery is empty.
        """
        if not 0 < beta <= _LARGEST_BETA:
            raise InputError(
                f"beta is {beta}: choose a number above 0 and up to {_LARGEST_BETA:g}, such as 2."
            )
        right, wrong = self._expected(gallery)
        hits, errors = right * np.array(self.same), wrong * np.array(self.different)
        score = (1 + beta**2) * hits / (beta**2 * right + hits + errors)
        return float(self.distances[int(score.argmax())])

    def probability(self, distances: NDArray[np.floating], gallery: int) -> NDArray[np.float64]:
        """Return the probability that crops so far apart show the same person.

        It is the ratio of the two curves' slopes, made monotone (isotonic regression, Zadrozny
        and Elkan, KDD 2002), times the odds of meeting the person in a gallery of that size.

        Args:
            distances: any shape.
            gallery: how many crops are searched.

        Returns:
            float64, the same shape, in [0, 1], not rising with the distance.
        """
        right, wrong = self._expected(gallery)
        ratio = self.likelihood_ratios[np.searchsorted(self.distances, distances, side="left")]
        odds = ratio * right / max(wrong, 1.0)
        return odds / (1 + odds)

    @cached_property
    def likelihood_ratios(self) -> NDArray[np.float64]:
        """How much likelier crops are of one person than of two: up to the first of `distances`,
        between neighbouring ones, and beyond the last; positive, never rising, shape (points + 1,).
        """
        same = np.diff([0.0, *self.same, 1.0])
        different = np.diff([0.0, *self.different, 1.0])
        # a trace of either in every interval, so that nothing is certain
        trace = 1e-6
        return falling_ratio(same + trace, different + trace)

    def _expected(self, gallery: int) -> tuple[float, float]:
        """Return how many right and wrong crops a query meets in a gallery."""
        if gallery < 1:
            raise InputError("The gallery is empty: add crops.")
        right = min(self.crops_per_person, float(gallery))
        return right, gallery - right


def falling_ratio(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the never rising sequence nearest to parts / wholes, by pooling adjacent violators.

    Args:
        parts: not negative, shape (N,).
        wholes: positive weights, shape (N,).
    """
    blocks: list[tuple[float, float, int]] = []
    for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True):
        count = 1
        while blocks and blocks[-1][0] * whole <= part * blocks[-1][1]:
            before = blocks.pop()
            part, whole, count = part + before[0], whole + before[1], count + before[2]
        blocks.append((part, whole, count))
    return np.repeat([p / w for p, w, _ in blocks], [count for *_, count in blocks])


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise InputError(f"{name} is {value}: choose a number above 0 and up to 1.")

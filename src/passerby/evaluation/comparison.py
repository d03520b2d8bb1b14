"""How far two models are apart on the same queries, in pairs."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from passerby.errors import InputError
from passerby.evaluation.bootstrap import mean_intervals
from passerby.evaluation.retrieval import RetrievalReport


@dataclass(frozen=True)
class Comparison:
    """Differences of two models' metrics, the first one's less the second's.

    Attributes:
        cameras: "cross" if what the query's own camera saw of its person was left out, as it is
            where cameras are known; else "ignored".
        queries: scored for both; `persons` of them.
        top1, map: mean differences over the queries.
        top1_ci, map_ci: 95 % intervals over persons; an interval without 0 is a difference that
            drawing other persons would hardly turn round.
    """

    cameras: str
    queries: int
    persons: int
    top1: float
    map: float
    top1_ci: tuple[float, float]
    map_ci: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `passerby evaluate --json` prints under "compared"."""
        return {
            **asdict(self),
            "top1_ci": list(self.top1_ci),
            "map_ci": list(self.map_ci),
        }


def compare(
    one: RetrievalReport, other: RetrievalReport, *, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Return how far two models are apart on the queries that both were scored on.

    Across cameras, if both were scored so too: matches within a camera flatter.

    Args:
        one, other: reports on the same queries and gallery; of several draws the first.
        resamples: bootstrap samples of persons for the intervals.
        seed: of the bootstrap.

    Raises:
        InputError: they are about other queries, or were scored otherwise.
    """
    theirs = (other.protocol, other.cameras, other.average_precision, other.gallery)
    same = (one.protocol, one.cameras, one.average_precision, one.gallery) == theirs
    if not same or not np.array_equal(one.scores.persons, other.scores.persons):
        raise InputError(
            "The two models were not scored on the same queries and gallery: compare them on data "
            "that neither was trained on."
        )
    scores, cameras = (one.scores, other.scores), one.cameras
    if one.across_cameras is not None and other.across_cameras is not None:
        scores, cameras = (one.across_cameras.scores, other.across_cameras.scores), "cross"
    scored = scores[0].scored & scores[1].scored
    values = [np.column_stack([part.first[scored] <= 1, part.ap[scored]]) for part in scores]
    apart = values[0].astype(np.float64) - values[1]
    persons = scores[0].persons[scored]
    low, high = mean_intervals(apart, persons, resamples, seed)
    top1, mean_ap = apart.mean(axis=0)
    return Comparison(
        cameras=cameras,
        queries=len(apart),
        persons=len(np.unique(persons)),
        top1=float(top1),
        map=float(mean_ap),
        top1_ci=(float(low[0]), float(high[0])),
        map_ci=(float(low[1]), float(high[1])),
    )

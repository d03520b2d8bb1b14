"""How good the answer sets of a threshold are, also for persons who are not in the gallery."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.pairwise import check_comparable, closeness, to_distances
from passerby.ranking.ranking import GAP_AMONG
from passerby.ranking.relevance import Relevance

_FARTHEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class AnswerSetScores:
    """What the answer sets of one rule are worth; fractions in [0, 1], means over the queries.

    Attributes:
        rule: how the sets were cut.
        threshold: largest distance of an answer; None for the rule "gap".
        precision: right answers / answers; an empty set counts as 0.
        recall: right answers / all right crops of the gallery.
        f2: F-beta of the two with beta = 2, of each query.
        size: mean number of answers.
        empty: fraction of the queries with no answer.
        identified: fraction of the queries with a right answer in their set (the true-positive
            identification rate).
        false_alarms: fraction of the queries with an answer although their person's crops were
            taken out of the gallery (the false-positive identification rate).
    """

    rule: str
    threshold: float | None
    precision: float
    recall: float
    f2: float
    size: float
    empty: float
    identified: float
    false_alarms: float


@dataclass(frozen=True)
class PairCounts:
    """How many pairs of query and gallery crop lie between given distances.

    Attributes:
        edges: ascending distances, shape (E,).
        same, different: pairs of one and of two persons, int64, shape (E + 1,): up to the first
            edge, between neighbouring ones, and beyond the last.
    """

    edges: NDArray[np.float64]
    same: NDArray[np.int64]
    different: NDArray[np.int64]


def score_answer_sets(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance,
    thresholds: Sequence[tuple[str, float]],
    *,
    leave_out_same_camera: bool,
    edges: NDArray[np.float64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[AnswerSetScores], PairCounts]:
    """Score the answer sets of several thresholds, and of the rule "gap", in one pass.

    Queries without a right answer in the gallery are left out, junk is dropped.

    Args:
        queries, gallery: embedded with one model, with person ids.
        distance: between their crops.
        thresholds: names of the rules, and their thresholds.
        leave_out_same_camera: the query's person seen by the query's camera does not count.
        edges: distances to count pairs between, ascending.
        progress: called with (queries done, all queries).

    Returns:
        One score for each threshold, then that of "gap"; and the pairs.

    Raises:
        InputError: as `score_queries`.
    """
    check_comparable(queries, gallery)
    answers = Relevance(queries.crops, gallery.crops, leave_out_same_camera)
    wanted, offered = distance.signatures(queries), distance.signatures(gallery)
    limits = np.array([threshold for _, threshold in thresholds])
    edges = np.zeros(1) if edges is None else edges
    tally = _Tally([], [], [], [])
    same, everything = np.zeros(len(edges) + 1, np.int64), np.zeros(len(edges) + 1, np.int64)
    for start, block in closeness(wanted, offered, answers.junk):
        for query, values in enumerate(block, start):
            right, ignored = answers.of(query)
            if not len(right):
                continue
            distances = to_distances(values, wanted[query])
            distances[ignored] = np.inf
            tally.add(distances, right, limits)
            same += _between(distances[right], edges)
            everything += _between(distances[np.isfinite(distances)], edges)
        if progress:
            progress(start + len(block), len(wanted))
    names = [*thresholds, ("gap", None)]
    scores = [tally.scores(i, name, threshold) for i, (name, threshold) in enumerate(names)]
    return scores, PairCounts(edges, same, everything - same)


@dataclass(frozen=True)
class _Tally:
    """Per query: right crops in all, and for each rule what the set holds."""

    right: list[int]
    returned: list[NDArray[np.int64]]
    hits: list[NDArray[np.int64]]
    nearest_wrong: list[float]

    def add(
        self,
        distances: NDArray[np.float32],
        right: NDArray[np.int64],
        limits: NDArray[np.float64],
    ) -> None:
        mine = np.sort(distances[right])
        # what does not count is infinitely far
        limits = np.append(np.minimum(limits, _FARTHEST), gap_threshold(distances))
        self.right.append(len(right))
        self.hits.append(np.searchsorted(mine, limits, side="right"))
        self.returned.append(np.array([np.count_nonzero(distances <= limit) for limit in limits]))
        others = distances.copy()
        others[right] = np.inf
        self.nearest_wrong.append(float(others.min()))

    def scores(self, place: int, rule: str, threshold: float | None) -> AnswerSetScores:
        if not self.right:
            return AnswerSetScores(rule, threshold, *([float("nan")] * 7))
        right = np.array(self.right)
        returned = np.stack(self.returned)[:, place]
        hits = np.stack(self.hits)[:, place]
        wrong = np.array(self.nearest_wrong)
        # with the person gone the largest gap is elsewhere, but there always is an answer
        limit = np.inf if threshold is None else threshold
        return AnswerSetScores(
            rule=rule,
            threshold=threshold,
            precision=float((hits / np.maximum(returned, 1)).mean()),
            recall=float((hits / right).mean()),
            f2=float((5 * hits / (4 * right + returned)).mean()),
            size=float(returned.mean()),
            empty=float((returned == 0).mean()),
            identified=float((hits > 0).mean()),
            false_alarms=float(((wrong <= limit) & np.isfinite(wrong)).mean()),
        )


def gap_threshold(distances: NDArray[np.floating], among: int = GAP_AMONG) -> float:
    """Return the distance of the last crop before the largest gap among the nearest ones.

    It is the rule of `Ranking.before_gap`.

    Args:
        distances: of one query to G crops, shape (G,).
        among: how many of the nearest are looked at.
    """
    count = min(among, len(distances))
    nearest = np.sort(np.partition(distances, count - 1)[:count])
    gaps = np.diff(nearest[np.isfinite(nearest)])
    return float(nearest[gaps.argmax()] if gaps.any() else nearest[gaps.size])


def _between(distances: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, distances), minlength=len(edges) + 1)

"""Scoring single queries against a gallery.

The rank of a right answer is counted, not sorted for: how many wrong answers are at least as near,
and how many right ones nearer. So of equally near crops the wrong ones come first: a model that
finds all crops equal scores worst, not by luck, and the gallery's order has no influence.

CMC and mAP: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015; mINP: Ye et
al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021, eq. 9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.pairwise import check_comparable, closeness
from passerby.ranking.relevance import Relevance
from passerby.ranking.reranking import Reranking

AveragePrecision = Literal["plain", "trapezoid"]
AVERAGE_PRECISIONS: tuple[str, ...] = get_args(AveragePrecision)

_FEW, _NARROW = 48, 0.1
"""More right answers than these are quicker to place by sorting than by counting for each; so are
they when the last one is among the nearest tenth."""


def check_average_precision(name: str) -> AveragePrecision:
    """Return a variant's name if there is such a variant.

    Raises:
        InputError: there is none.
    """
    if name not in AVERAGE_PRECISIONS:
        raise InputError(
            f"There is no average precision {name!r}: choose from {', '.join(AVERAGE_PRECISIONS)}."
        )
    return name  # type: ignore[return-value]


@dataclass(frozen=True)
class QueryScores:
    """What each of Q queries scored.

    Attributes:
        persons: codes of the queries' persons, int64, shape (Q,).
        right: right answers in the gallery, int64, shape (Q,); a query with none is not scored.
        first: rank of the first right answer, from 1 on, int64, shape (Q,); 0 if there is none.
        ap: average precision, float64, shape (Q,), in [0, 1]; NaN if there is no right answer.
        inp: inverse negative penalty, right answers / rank of the last one; NaN likewise.
    """

    persons: NDArray[np.int64]
    right: NDArray[np.int64]
    first: NDArray[np.int64]
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which queries have a right answer in the gallery, shape (Q,)."""
        return self.right > 0


def score_queries(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance,
    *,
    leave_out_same_camera: bool,
    average_precision: AveragePrecision = "plain",
    reranking: Reranking | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> QueryScores:
    """Score each query; memory does not grow with queries × gallery.

    Junk is dropped, distractors stay as wrong answers.

    Args:
        queries, gallery: embedded with one model, with person ids.
        distance: between their crops.
        leave_out_same_camera: the query's person seen by the query's camera is neither right nor
            wrong.
        average_precision: "plain", the mean precision at the right answers, or "trapezoid", as in
            Market-1501's own Matlab code.
        reranking: of the distances; none if left out.
        progress: called with (queries done, all queries).

    Raises:
        InputError: the two cannot be compared, one is empty, a value is not a number, or person
            or camera ids are missing.
    """
    check_comparable(queries, gallery)
    answers = Relevance(queries.crops, gallery.crops, leave_out_same_camera)
    persons = answers.persons
    wanted, signatures = distance.signatures(queries), distance.signatures(gallery)
    scores = QueryScores(
        persons=persons,
        right=np.zeros(len(persons), np.int64),
        first=np.zeros(len(persons), np.int64),
        ap=np.full(len(persons), np.nan),
        inp=np.full(len(persons), np.nan),
    )
    ordered = closeness if reranking is None else reranking.blocks
    for start, block in ordered(wanted, signatures, answers.junk):
        for query, values in enumerate(block, start):
            right, ignored = answers.of(query)
            values[ignored] = np.inf
            if len(right):
                ranks = right_ranks(values, right)
                scores.right[query], scores.first[query] = len(ranks), ranks[0]
                scores.ap[query] = precision_at(ranks, average_precision)
                scores.inp[query] = len(ranks) / ranks[-1]
        if progress:
            progress(start + len(block), len(wanted))
    return scores


def right_ranks(distances: NDArray[np.floating], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ranks of the right answers, ascending, from 1 on; ties as said above.

    Args:
        distances: of one query to G crops, shape (G,); infinite for crops that do not count.
        right: rows of the R right answers.

    Returns:
        int64, shape (R,).
    """
    near = np.sort(distances[right])
    candidates = distances <= near[-1]
    last = np.count_nonzero(candidates)
    if len(near) > _FEW or last < _NARROW * len(distances):
        reached = np.searchsorted(np.sort(distances[candidates]), near, side="right")
    else:
        reached = np.array([np.count_nonzero(distances <= d) for d in near])
    wrong = reached - np.searchsorted(near, near, side="right")
    return wrong + np.arange(1, len(near) + 1)


def precision_at(ranks: NDArray[np.int64], variant: AveragePrecision = "plain") -> float:
    """Return the average precision of a query.

    Args:
        ranks: of the right answers, ascending, from 1 on.
        variant: "plain": the mean of i / rank of the i-th right answer; "trapezoid": the mean of
            the averages of the precision there and one place earlier (Market-1501's Matlab code,
            after Oxford's compute_ap).
    """
    found = np.arange(1, len(ranks) + 1)
    precision = found / ranks
    if variant == "trapezoid":
        before = np.ones(len(ranks))
        np.divide(found - 1, ranks - 1, out=before, where=ranks > 1)
        precision = (precision + before) / 2
    return float(precision.mean())

"""Re-identification as a whole: CMC, mAP and mINP, for whom they are lower, and answer sets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.calibration import Calibration
from passerby.data.crops import JUNK_CODE, encode_cameras, encode_persons
from passerby.errors import InputError
from passerby.evaluation.answer_sets import AnswerSetScores, PairCounts, score_answer_sets
from passerby.evaluation.bootstrap import mean_intervals
from passerby.evaluation.protocols import has_cameras
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.query_scores import AveragePrecision, QueryScores, score_queries
from passerby.ranking.reranking import Reranking

CMC_RANKS = 50
METRIC_NAMES = ("top1", "top5", "top10", "map", "minp")

_RECALL, _FALSE_MATCH_RATE = 0.9, 1e-3
_LEAST_PAIRS = 20
"""Reliability says nothing about a probability that fewer pairs were given."""

_LIKELY = 0.01
"""Almost all pairs are surely two persons; they would hide the error of the others."""


@dataclass(frozen=True)
class Reliability:
    """Whether pairs that were said to be one person with a probability p are so with p.

    Attributes:
        said: mean probability of the pairs in each bin of probabilities, ascending.
        found: fraction of them that are one person.
        pairs: how many they are.
        error: expected calibration error of the pairs said to match with at least 1 %: the mean
            over the bins of |said − found|, weighted by pairs (Naeini et al., AAAI 2015).
    """

    said: tuple[float, ...]
    found: tuple[float, ...]
    pairs: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Reranked:
    """The figures after k-reciprocal re-ranking, which looks at all queries at once.

    Attributes:
        reranking: its settings.
        metrics, intervals, scores: as in `RetrievalReport`.
    """

    reranking: Reranking
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    scores: QueryScores


@dataclass(frozen=True)
class AcrossCameras:
    """The metrics where what the query's own camera saw of its person does not count.

    Attributes:
        metrics, intervals, scores: as in `RetrievalReport`.
        queries, skipped: scored ones, and those without a right answer from another camera.
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    queries: int
    skipped: int
    scores: QueryScores


@dataclass(frozen=True)
class RetrievalReport:
    """How well persons are found again; fractions between 0 and 1, means over the scored queries.

    Attributes:
        protocol, cameras: what was asked and left out ("ignored": nothing, "cross": what the
            query's own camera saw of its person).
        distance: what was compared, and how.
        average_precision: "plain" or "trapezoid".
        queries: scored ones; `skipped` had no right answer in the gallery.
        persons: of the scored queries.
        gallery: crops searched, without junk.
        metrics: top1, top5, top10, map, minp.
        intervals: 95 % intervals of the same; empty without resampling.
        reranked: the same after re-ranking, if it was asked for.
        cmc: fraction of queries with a right answer among the first k, for k from 1 to 50.
        slices: attribute to top1, map and number of queries of the persons with ("with") and
            without it ("without"); those with no query are left out.
        answer_sets: one for each rule; empty if the distance is not calibrated.
        reliability: of the calibrated probabilities; None likewise.
        scores: of each query.
        across_cameras: the same across cameras, if cameras were ignored, and those of all known
            persons are known and several.
        trials: how often random queries were drawn; None for given ones. Metrics and `cmc`, also
            after re-ranking and across cameras, are means over the draws, and intervals take all
            their queries together; everything else is of the first draw.
        top1_sd: sample standard deviation of top1 over the draws, 0 for one; None likewise.
    """

    protocol: str
    cameras: str
    distance: Distance
    average_precision: AveragePrecision
    queries: int
    skipped: int
    persons: int
    gallery: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    reranked: Reranked | None
    cmc: tuple[float, ...]
    slices: Mapping[str, Mapping[str, Mapping[str, float]]]
    answer_sets: Sequence[AnswerSetScores]
    reliability: Reliability | None
    scores: QueryScores
    across_cameras: AcrossCameras | None = None
    trials: int | None = None
    top1_sd: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `passerby evaluate --json` prints under "retrieval"."""
        return {
            "protocol": self.protocol,
            "cameras": self.cameras,
            "features": self.distance.features,
            "distance": f"{self.distance.metric} {self.distance.kind}",
            "average_precision": self.average_precision,
            **_figures_json(self.metrics, self.intervals),
            "reranked": None
            if self.reranked is None
            else {
                **asdict(self.reranked.reranking),
                **_figures_json(self.reranked.metrics, self.reranked.intervals),
            },
            "queries": self.queries,
            "skipped": self.skipped,
            "persons": self.persons,
            "gallery": self.gallery,
            "cmc": list(self.cmc),
            "slices": {name: dict(sides) for name, sides in self.slices.items()},
            "answer_sets": [asdict(scores) for scores in self.answer_sets],
            "reliability": None if self.reliability is None else asdict(self.reliability),
            "across_cameras": self._across_cameras_dict(),
            **({} if self.trials is None else {"trials": self.trials, "top1_sd": self.top1_sd}),
        }

    def _across_cameras_dict(self) -> dict[str, Any] | None:
        across = self.across_cameras
        if across is None:
            return None
        return {
            **_figures_json(across.metrics, across.intervals),
            "queries": across.queries,
            "skipped": across.skipped,
        }

    def with_trials(
        self, others: Sequence["RetrievalReport"], resamples: int = 0, seed: int = 0
    ) -> "RetrievalReport":
        """Return the report of several draws of the queries, of which this is the first.

        Args:
            others: of the other draws from the same crops.
            resamples, seed: of the intervals, as in `evaluate_retrieval`.
        """
        if not others:
            return replace(self, trials=1, top1_sd=0.0)
        draws = [self, *others]
        reranked = [draw.reranked for draw in draws if draw.reranked is not None]
        across = [draw.across_cameras for draw in draws if draw.across_cameras is not None]
        metrics, intervals = _average(draws, resamples, seed)
        return replace(
            self,
            metrics=metrics,
            intervals=intervals,
            cmc=tuple(np.mean([draw.cmc for draw in draws], axis=0).tolist()),
            reranked=_averaged(reranked, resamples, seed) if reranked else None,
            across_cameras=_averaged(across, resamples, seed) if across else None,
            trials=len(draws),
            top1_sd=float(np.std([draw.metrics["top1"] for draw in draws], ddof=1)),
        )


_Scored = TypeVar("_Scored", Reranked, AcrossCameras)


def _averaged(draws: Sequence[_Scored], resamples: int, seed: int) -> _Scored:
    metrics, intervals = _average(draws, resamples, seed)
    return replace(draws[0], metrics=metrics, intervals=intervals)


def _average(
    draws: Sequence[RetrievalReport] | Sequence[Reranked] | Sequence[AcrossCameras],
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return the metrics' means over the draws, and intervals of all their queries together."""
    metrics = {
        name: float(np.mean([draw.metrics[name] for draw in draws])) for name in METRIC_NAMES
    }
    scored = [draw.scores for draw in draws]
    values = np.concatenate([_per_query(scores)[scores.scored] for scores in scored])
    persons = np.concatenate([scores.persons[scores.scored] for scores in scored])
    return metrics, _intervals(values, persons, resamples, seed)


def _figures_json(
    metrics: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    return {**metrics, **{f"{name}_ci": list(interval) for name, interval in intervals.items()}}


def evaluate_retrieval(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance,
    calibration: Calibration | None = None,
    *,
    protocol: str = "given",
    leave_out_same_camera: bool = False,
    average_precision: AveragePrecision = "plain",
    reranking: Reranking | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalReport:
    """Score how well queries find their persons in a gallery.

    Args:
        queries, gallery: embedded with one model, with person ids.
        distance: between their crops.
        calibration: of the distance; adds answer sets and reliability.
        protocol: what the report calls it.
        leave_out_same_camera: the query's person seen by the query's camera does not count.
        average_precision: "plain", or "trapezoid" as in Market-1501's Matlab code.
        reranking: adds the figures after it.
        resamples: bootstrap samples of persons for the intervals; 0 for none.
        seed: of the bootstrap.
        progress: called with (queries done, all queries).

    Raises:
        InputError: the two cannot be compared, one is empty, a value is not a number, ids are
            missing, or no query has a right answer.
    """
    score = partial(
        score_queries,
        queries,
        gallery,
        distance,
        leave_out_same_camera=leave_out_same_camera,
        average_precision=average_precision,
    )
    scores = score(progress=progress)
    scored = scores.scored
    searched = int((encode_persons(gallery.crops)[0] != JUNK_CODE).sum())
    if not scored.any():
        raise InputError(_nobody(leave_out_same_camera))
    values = _per_query(scores)
    figures, intervals = _figures(scores, resamples, seed)
    reranked = None
    if reranking is not None:
        after = score(reranking=reranking, progress=progress)
        reranked = Reranked(reranking, *_figures(after, resamples, seed), after)
    answer_sets, reliability = _answers(
        queries, gallery, distance, calibration, leave_out_same_camera, searched
    )
    return RetrievalReport(
        protocol=protocol,
        cameras="cross" if leave_out_same_camera else "ignored",
        distance=distance,
        average_precision=average_precision,
        queries=int(scored.sum()),
        skipped=int((~scored).sum()),
        persons=len(np.unique(scores.persons[scored])),
        gallery=searched,
        metrics=figures,
        intervals=intervals,
        reranked=reranked,
        cmc=tuple(float((scores.first[scored] <= rank).mean()) for rank in range(1, CMC_RANKS + 1)),
        slices=_slices(queries, values, scored),
        answer_sets=answer_sets,
        reliability=reliability,
        scores=scores,
        across_cameras=None
        if leave_out_same_camera
        else _across_cameras(
            queries, gallery, partial(score, leave_out_same_camera=True), resamples, seed
        ),
    )


def _across_cameras(
    queries: Embeddings,
    gallery: Embeddings,
    score: Callable[[], QueryScores],
    resamples: int,
    seed: int,
) -> AcrossCameras | None:
    """Score across cameras; None where some are unknown, or nobody is seen by two."""
    parts = (queries.crops, gallery.crops)
    if not all(map(has_cameras, parts)):
        return None
    if len(np.unique(np.concatenate(encode_cameras(*parts)))) < 2:
        return None
    scores = score()
    if not scores.scored.any():
        return None
    found = int(scores.scored.sum())
    return AcrossCameras(*_figures(scores, resamples, seed), found, len(queries) - found, scores)


def _nobody(leave_out_same_camera: bool) -> str:
    if leave_out_same_camera:
        return (
            "No query has a right answer in the gallery that another camera took: check the "
            "persons and cameras, or evaluate with `cameras` = ignored."
        )
    return "No query has a right answer in the gallery: check the persons of both."


def _per_query(scores: QueryScores) -> NDArray[np.float64]:
    """Return what each query adds to the figures, shape (Q, figures)."""
    within = [(scores.first <= rank).astype(np.float64) for rank in (1, 5, 10)]
    return np.stack([*within, scores.ap, scores.inp], axis=1)


def _figures(
    scores: QueryScores, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    values, persons = _per_query(scores)[scores.scored], scores.persons[scores.scored]
    figures = dict(zip(METRIC_NAMES, values.mean(axis=0).tolist(), strict=True))
    return figures, _intervals(values, persons, resamples, seed)


def _intervals(
    values: NDArray[np.float64], persons: NDArray[np.int64], resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    if not resamples:
        return {}
    low, high = mean_intervals(values, persons, resamples, seed)
    return {name: (float(a), float(b)) for name, a, b in zip(METRIC_NAMES, low, high, strict=True)}


def _slices(
    queries: Embeddings, values: NDArray[np.float64], scored: NDArray[np.bool_]
) -> dict[str, dict[str, dict[str, float]]]:
    labels, schema = queries.crops.labels, queries.crops.schema
    if labels is None or schema is None:
        return {}
    slices: dict[str, dict[str, dict[str, float]]] = {}
    for name, has in zip(schema.names, labels.T, strict=True):
        for side, mine in (("with", has >= 0.5), ("without", has < 0.5)):
            chosen = mine & scored
            if chosen.any():
                top1, _, _, mean_ap, _ = values[chosen].mean(axis=0).tolist()
                figures = {"queries": int(chosen.sum()), "top1": top1, "map": mean_ap}
                slices.setdefault(name, {})[side] = figures
    return slices


def _answers(
    queries: Embeddings,
    gallery: Embeddings,
    distance: Distance,
    calibration: Calibration | None,
    leave_out_same_camera: bool,
    searched: int,
) -> tuple[list[AnswerSetScores], Reliability | None]:
    if calibration is None:
        return [], None
    thresholds = [
        ("best F2", calibration.threshold_for_f_beta(2, searched)),
        (f"recall {_RECALL:g}", calibration.threshold_for_recall(_RECALL)),
        (
            f"FMR {_FALSE_MATCH_RATE:g}",
            calibration.threshold_for_false_match_rate(_FALSE_MATCH_RATE),
        ),
    ]
    scores, pairs = score_answer_sets(
        queries,
        gallery,
        distance,
        thresholds,
        leave_out_same_camera=leave_out_same_camera,
        edges=np.array(calibration.distances),
    )
    return scores, _reliability(pairs, calibration, searched)


def _reliability(pairs: PairCounts, calibration: Calibration, gallery: int) -> Reliability:
    beyond = np.append(pairs.edges, pairs.edges[-1] + 1)
    said = calibration.probability(beyond, gallery)
    everything = pairs.same + pairs.different
    places = np.clip(np.digitize(said, np.linspace(0, 1, 11)) - 1, 0, 9)
    said_to_match = said >= _LIKELY
    rows, gap, likely = [], 0.0, 0.0
    for place in range(10):
        mine = places == place
        count, hits, sure = _bin(everything, pairs.same, said, mine)
        if count >= _LEAST_PAIRS:
            rows.append((sure / count, hits / count, int(count)))
        count, hits, sure = _bin(everything, pairs.same, said, mine & said_to_match)
        gap, likely = gap + abs(sure - hits), likely + count
    means, found, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return Reliability(means, found, counts, gap / likely if likely else 0.0)


def _bin(
    pairs: NDArray[np.int64],
    same: NDArray[np.int64],
    said: NDArray[np.float64],
    mine: NDArray[np.bool_],
) -> tuple[float, float, float]:
    """Return of the chosen intervals: all pairs, those of one person, and those expected to be."""
    return float(pairs[mine].sum()), float(same[mine].sum()), float((said * pairs)[mine].sum())

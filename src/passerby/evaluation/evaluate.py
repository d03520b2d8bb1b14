"""Scoring a model on people it was not trained on: what they look like, and who they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from passerby.calibration.calibration import Calibration
from passerby.calibration.identity_pooling import pool_attributes
from passerby.data.crops import NOBODY_CODE, Crops
from passerby.errors import InputError
from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.protocols import EvaluationProtocol
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings, import_pandas
from passerby.ranking.distance import Distance
from passerby.ranking.query_scores import AveragePrecision, check_average_precision
from passerby.ranking.reranking import Reranking

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """What `passerby evaluate` finds out.

    Attributes:
        attributes: None for crops without labels.
        attributes_pooled: the same after `pool_attributes` of all crops, distractors and junk
            among them; None without a calibration too.
        retrieval: None if nobody appears in two crops.
        queries, gallery: what was searched for and among; None likewise.
    """

    attributes: AttributeReport | None
    attributes_pooled: AttributeReport | None
    retrieval: RetrievalReport | None
    queries: Embeddings | None
    gallery: Embeddings | None

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `passerby evaluate --json` prints."""
        parts = {
            "attributes": self.attributes,
            "attributes_pooled": self.attributes_pooled,
            "retrieval": self.retrieval,
        }
        return {name: part.to_dict() for name, part in parts.items() if part is not None}

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame: part, metric, value, low and high, a row a metric.

        Raises:
            InputError: pandas is not installed.
        """
        rows: list[tuple[str, str, float, float | None, float | None]] = []
        if self.attributes is not None:
            report = self.attributes
            for part in ("macro", "defined", "instance"):
                for name, value in getattr(report, part).items():
                    low, high = report.intervals.get(f"{part}.{name}", (None, None))
                    rows.append((f"attributes, {part}", name, value, low, high))
        if self.retrieval is not None:
            parts = {"retrieval": self.retrieval, "across cameras": self.retrieval.across_cameras}
            for part, scored in parts.items():
                for name, value in () if scored is None else scored.metrics.items():
                    low, high = scored.intervals.get(name, (None, None)) if scored else (None, None)
                    rows.append((part, name, value, low, high))
        return import_pandas().DataFrame(rows, columns=["part", "metric", "value", "low", "high"])


def evaluate(
    people: Embeddings,
    gallery: Embeddings | None = None,
    *,
    protocol: EvaluationProtocol | str = "course",
    distance: Distance | None = None,
    calibration: Calibration | None = None,
    decision: Decision | None = None,
    average_precision: AveragePrecision = "plain",
    reranking: Reranking | None = None,
    resamples: int = 1000,
    trials: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score attributes and re-identification.

    Args:
        people: of crops with persons, labels or both. Without a gallery the protocol divides
            them into queries and gallery; with one they are the queries.
        gallery: a given gallery; attributes are scored on it.
        protocol: "course", "market", or a `EvaluationProtocol`.
        distance: between crops; the normalised Euclidean distance of the embeddings if left
            out.
        calibration: of the distance; adds answer sets, and attributes averaged over crops that
            probably show one person.
        decision: turns attribute probabilities into labels; group argmax if left out.
        average_precision: "plain" or "trapezoid".
        reranking: adds the figures after k-reciprocal re-ranking.
        resamples: bootstrap samples of persons for the intervals; 0 for none.
        trials: how often random queries are drawn, with the seeds that follow the protocol's;
            their metrics are means over the draws.
        progress: called with (queries done, all queries).

    Raises:
        InputError: there are neither labels nor person ids, or as the parts raise.
    """
    average_precision = check_average_precision(average_precision)
    if isinstance(protocol, str):
        protocol = EvaluationProtocol.named(protocol)
    labelled = people if gallery is None else gallery
    if labelled.crops.labels is None and not people.crops.has_persons:
        raise InputError("These crops have no persons and no labels to score against: add them.")
    distance = distance or Distance(features="embedding")
    attributes = pooled = None
    if labelled.crops.labels is not None:
        attributes = evaluate_attributes(labelled, decision, resamples=resamples)
        if calibration is not None:
            together = pool_attributes(labelled, distance, calibration)
            pooled = evaluate_attributes(together, decision, resamples=resamples)
    score = partial(
        evaluate_retrieval,
        distance=distance,
        calibration=calibration,
        leave_out_same_camera=protocol.leave_out_same_camera,
        average_precision=average_precision,
        reranking=reranking,
        resamples=resamples,
        progress=progress,
    )
    if gallery is not None:
        protocol.check(people.crops, gallery.crops)
        name = f"{protocol.name}, given queries and gallery"
        return Report(attributes, pooled, score(people, gallery, protocol=name), people, gallery)
    if not _somebody_twice(people.crops):
        return Report(attributes, pooled, None, None, None)
    draws = []
    for trial in range(trials):
        drawn = replace(protocol, seed=protocol.seed + trial)
        draws.append(tuple(map(people.of_rows, drawn.split(people.crops))))
    reports = [score(*draw, protocol=protocol.name) for draw in draws]
    queries, others = draws[0]
    return Report(attributes, pooled, reports[0].with_trials(reports[1:]), queries, others)


def _somebody_twice(crops: Crops) -> bool:
    if not crops.has_persons:
        return False
    codes = crops.person_codes
    return bool((np.unique(codes[codes > NOBODY_CODE], return_counts=True)[1] > 1).any())

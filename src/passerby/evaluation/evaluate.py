"""Scoring a model on people it was not trained on: what they look like, and who they are."""

from collections.abc import Callable, Iterator
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


_NO_INTERVAL = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Report:
    """What `passerby evaluate` finds out.

    Attributes:
        attributes: None for crops without labels, and for a model that answers no attributes.
        attributes_pooled: the same after `pool_attributes` of all crops, distractors and junk
            among them; None without a calibration too.
        retrieval: None if nobody is known, or nobody appears in two crops.
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
        """Return a pandas DataFrame: part, metric, value, low and high, one row for each metric.

        Parts are "attributes, macro", "… defined", "… instance", "… official", the same of
        "attributes_pooled", "retrieval", "retrieval, reranked" and "retrieval, across cameras".
        `low` and `high` are NaN without resampling.

        Raises:
            InputError: pandas is not installed.
        """
        columns = ["part", "metric", "value", "low", "high"]
        return import_pandas().DataFrame(list(self._rows()), columns=columns)

    def _rows(self) -> Iterator[tuple[str, str, float, float, float]]:
        for title, scored in (
            ("attributes", self.attributes),
            ("attributes_pooled", self.attributes_pooled),
        ):
            for group, metrics in () if scored is None else scored.groups.items():
                for name, value in metrics.items():
                    found = scored.intervals.get(f"{group}.{name}", _NO_INTERVAL)  # type: ignore[union-attr]
                    yield f"{title}, {group}", name, value, *found
        if self.retrieval is None:
            return
        for title, part in (
            ("retrieval", self.retrieval),
            ("retrieval, reranked", self.retrieval.reranked),
            ("retrieval, across cameras", self.retrieval.across_cameras),
        ):
            if part is not None:
                for name, value in part.metrics.items():
                    yield title, name, value, *part.intervals.get(name, _NO_INTERVAL)


def check_annotated(queries: Crops, labelled: Crops) -> bool:
    """Check that there is something to score against; tell whether persons are.

    Args:
        queries: who is asked for.
        labelled: who is searched, whose attributes are scored; may be the same.

    Raises:
        InputError: there are neither labels nor persons.
    """
    named = queries.has_persons and labelled.has_persons
    if labelled.labels is None and not named:
        raise InputError("These crops have no persons and no labels to score against: add them.")
    return named


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
            their metrics are means over the draws; 1 for given queries.
        progress: called with (queries done, all queries).

    Raises:
        InputError: there are neither labels nor persons, or as the parts raise.
    """
    average_precision = check_average_precision(average_precision)
    if isinstance(protocol, str):
        protocol = EvaluationProtocol.named(protocol)
    if trials < 1:
        raise InputError(f"`trials` is {trials}: draw queries at least once.")
    if trials > 1 and gallery is not None:
        raise InputError(
            f"`trials` is {trials}, but queries and gallery are given, so nothing is drawn: leave "
            "it out."
        )
    labelled = people if gallery is None else gallery
    named = check_annotated(people.crops, labelled.crops)
    distance = distance or Distance(features="embedding")
    attributes = pooled = None
    if labelled.crops.labels is not None and not (named and labelled.attributes is None):
        attributes = evaluate_attributes(labelled, decision, resamples=resamples)
        if calibration is not None:
            together = pool_attributes(labelled, distance, calibration)
            pooled = evaluate_attributes(together, decision, resamples=resamples)
    score = partial(
        evaluate_retrieval,
        distance=distance,
        leave_out_same_camera=protocol.leave_out_same_camera,
        average_precision=average_precision,
        reranking=reranking,
        resamples=resamples,
        progress=progress,
    )
    if not named or (gallery is None and not _somebody_twice(people.crops)):
        return Report(attributes, pooled, None, None, None)
    if gallery is not None:
        protocol.check(people.crops, gallery.crops)
        name = f"{protocol.name}, given queries and gallery"
        retrieval = score(people, gallery, calibration=calibration, protocol=name)
        return Report(attributes, pooled, retrieval, people, gallery)

    def draw(trial: int) -> tuple[Embeddings, Embeddings]:
        queries, others = replace(protocol, seed=protocol.seed + trial).split(people.crops)
        return people.of_rows(queries), people.of_rows(others)

    queries, others = draw(0)
    retrieval = score(queries, others, calibration=calibration, protocol=protocol.name)
    # answer sets are shown of the first draw alone
    more = [score(*draw(trial), protocol=protocol.name) for trial in range(1, trials)]
    return Report(attributes, pooled, retrieval.with_trials(more, resamples), queries, others)


def _somebody_twice(crops: Crops) -> bool:
    codes = crops.person_codes
    return bool((np.unique(codes[codes > NOBODY_CODE], return_counts=True)[1] > 1).any())

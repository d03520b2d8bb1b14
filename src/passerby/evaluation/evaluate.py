"""Scoring a model on people it was not trained on: what they look like, and who they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from passerby.calibration.calibration import Calibration
from passerby.calibration.identity_pooling import pool_attributes
from passerby.data.crops import DISTRACTOR, Crops
from passerby.errors import InputError
from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.protocols import EvaluationProtocol
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance
from passerby.ranking.query_scores import AveragePrecision, check_average_precision
from passerby.ranking.reranking import Reranking


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
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score attributes and re-identification.

    Args:
        people: of crops with person ids, labels or both. Without a gallery the protocol divides
            them into queries and gallery; with one they are the queries.
        gallery: a given gallery; attributes are scored on it.
        protocol: "course", "market", or a `EvaluationProtocol`.
        distance: between crops; the cosine distance of the embeddings if left out.
        calibration: of the distance; adds answer sets, and attributes averaged over crops that
            probably show one person.
        decision: turns attribute probabilities into labels; group argmax if left out.
        average_precision: "plain" or "trapezoid".
        reranking: adds the figures after k-reciprocal re-ranking.
        resamples: bootstrap samples of persons for the intervals; 0 for none.
        progress: called with (queries done, all queries).

    Raises:
        InputError: there are neither labels nor person ids, or as the parts raise.
    """
    average_precision = check_average_precision(average_precision)
    if isinstance(protocol, str):
        protocol = EvaluationProtocol.named(protocol)
    labelled = people if gallery is None else gallery
    if labelled.crops.labels is None and people.crops.persons is None:
        raise InputError("These crops have no person ids and no labels to score against: add them.")
    distance = distance or Distance(features="embedding")
    attributes = pooled = None
    if labelled.crops.labels is not None:
        attributes = evaluate_attributes(labelled, decision, resamples=resamples)
        if calibration is not None:
            together = pool_attributes(labelled, distance, calibration)
            pooled = evaluate_attributes(together, decision, resamples=resamples)
    name: str = protocol.name
    if gallery is not None:
        name += ", given queries and gallery"
        protocol.check(people.crops, gallery.crops)
    elif not _somebody_twice(people.crops):
        return Report(attributes, pooled, None, None, None)
    else:
        queries, others = protocol.split(people.crops)
        people, gallery = people.of_rows(queries), people.of_rows(others)
    retrieval = evaluate_retrieval(
        people,
        gallery,
        distance,
        calibration,
        protocol=name,
        leave_out_same_camera=protocol.leave_out_same_camera,
        average_precision=average_precision,
        reranking=reranking,
        resamples=resamples,
        progress=progress,
    )
    return Report(attributes, pooled, retrieval, people, gallery)


def _somebody_twice(crops: Crops) -> bool:
    persons = crops.known_persons
    return bool((np.unique(persons[persons > DISTRACTOR], return_counts=True)[1] > 1).any())

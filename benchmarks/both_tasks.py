"""Scoring a model that learned both tasks; for the other benchmarks."""

import statistics
from dataclasses import replace
from typing import Any

from passerby.calibration import choose_matcher, pool_attributes
from passerby.calibration.cross_fitting import mean_ap, real_persons, split_halves
from passerby.calibration.cross_validation import measure_calibration_by_folds
from passerby.calibration.fitted_distances import fit_fused_distance
from passerby.calibration.fitting import constant
from passerby.evaluation import (
    AttributeReport,
    EvaluationProtocol,
    evaluate_attributes,
    evaluate_retrieval,
)
from passerby.inference import Embeddings, ModelInfo
from passerby.ranking import Distance, Reranking

DRAWS = 10
EMBEDDING = Distance(features="embedding")
RULES = ("fixed", "group", "deepmar", "prevalence")


def figures(people: Embeddings, info: ModelInfo) -> dict[str, Any]:
    """Return all measures of one way to embed: each decision rule, each distance."""
    found: dict[str, Any] = {
        "attributes": attributes(people, info),
        "attributes_pooled": attributes(pooled_by_halves(people), info),
        "fusion": fusion(people),
    }
    distances = {"embedding": EMBEDDING}
    if info.distances:
        distances["both"] = choose_matcher(info, "both").distance
        logits = choose_matcher(info, "logits", "normalized_euclidean", "plain")
        distances["logits"] = logits.distance
    for name, distance in distances.items():
        draws = [retrieval(people, distance, draw) for draw in range(DRAWS)]
        found[name] = {
            "first_draw": draws[0],
            "mean": {key: statistics.mean(draw[key] for draw in draws) for key in draws[0]},
        }
    return found


def pooled_by_halves(people: Embeddings) -> Embeddings:
    """Average attributes over crops that probably show one person.

    What a distance means is measured on each half of the persons for the other half.
    """
    averaged = people.known_attributes.copy()
    for half, other in split_halves(real_persons(people)):
        found = pool_attributes(people, EMBEDDING, measure_calibration_by_folds([other], EMBEDDING))
        mine = people.crops.shows(half.crops.persons)
        averaged[mine] = found.known_attributes[mine]
    return replace(people, attributes=averaged)


def fusion(people: Embeddings) -> dict[str, float]:
    """Return the mAP of embeddings alone and together with attributes.

    How much attributes weigh is chosen on each half of the persons for the other half.
    """
    return {
        "embedding": mean_ap(people, constant(EMBEDDING)),
        "both": mean_ap(people, fit_fused_distance),
    }


def attributes(people: Embeddings, info: ModelInfo) -> dict[str, dict[str, float]]:
    """Return the averages under each decision rule."""
    return {
        rule: averages(evaluate_attributes(people, info.decision_by(rule), resamples=0))
        for rule in RULES
    }


def averages(report: AttributeReport) -> dict[str, float]:
    """Return what is compared of a report on attributes."""
    assert report.official12 is not None
    assert report.official12_multicolor is not None
    return {
        **{name: report.macro[name] for name in ("precision", "recall", "f1")},
        "ma": report.defined["ma"],
        "official12": report.official12,
        "official12_multicolor": report.official12_multicolor,
    }


def retrieval(people: Embeddings, distance: Distance, seed: int) -> dict[str, float]:
    """Return protocol "course" of one draw, re-ranked too, over all cameras and across them."""
    values: dict[str, float] = {}
    for cameras, suffix in (("ignored", ""), ("cross", "_cross")):
        protocol = EvaluationProtocol.named("course", cameras, seed)
        queries, gallery = protocol.split(people.crops)
        report = evaluate_retrieval(
            people.of_rows(queries),
            people.of_rows(gallery),
            distance,
            leave_out_same_camera=protocol.leave_out_same_camera,
            reranking=Reranking(),
            resamples=0,
        )
        assert report.reranked is not None
        for name in ("top1", "top5", "map"):
            values[f"{name}{suffix}"] = report.metrics[name]
            values[f"{name}_reranked{suffix}"] = report.reranked.metrics[name]
    return values

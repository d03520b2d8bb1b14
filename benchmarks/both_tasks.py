"""Scoring a model that learned both tasks; for the other benchmarks."""

import statistics
from typing import Any

from passerby.embedding import Embeddings, ModelInfo
from passerby.evaluation import Protocol, evaluate_attributes, evaluate_retrieval
from passerby.ranking import Distance, Reranking, choose_distance

DRAWS = 10
RULES = ("fixed", "group", "deepmar", "prevalence")


def figures(people: Embeddings, info: ModelInfo) -> dict[str, Any]:
    """Return all measures of one way to embed: each decision rule, each distance."""
    found: dict[str, Any] = {"attributes": attributes(people, info)}
    distances = {"embedding": Distance(features="embedding")}
    if info.distances:
        distances["both"] = choose_distance(info, "both")[0]
        distances["logits"] = choose_distance(info, "logits", "cosine", "plain")[0]
    for name, distance in distances.items():
        draws = [retrieval(people, distance, draw) for draw in range(DRAWS)]
        found[name] = {
            "first_draw": draws[0],
            "mean": {key: statistics.mean(draw[key] for draw in draws) for key in draws[0]},
        }
    return found


def attributes(people: Embeddings, info: ModelInfo) -> dict[str, dict[str, float]]:
    """Return the averages under each decision rule."""
    found = {}
    for rule in RULES:
        report = evaluate_attributes(people, info.decision_by(rule), resamples=0)
        found[rule] = {
            **{name: report.all[name] for name in ("precision", "recall", "f1")},
            "ma": report.defined["ma"],
            "official12": report.official12,
            "official12_multicolor": report.official12_multicolor,
        }
    return found


def retrieval(people: Embeddings, distance: Distance, seed: int) -> dict[str, float]:
    """Return protocol "course" of one draw, re-ranked too, over all cameras and across them."""
    values: dict[str, float] = {}
    for cameras, suffix in (("ignored", ""), ("cross", "_cross")):
        protocol = Protocol.named("course", cameras, seed)
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
            values[f"{name}{suffix}"] = report.figures[name]
            values[f"{name}_reranked{suffix}"] = report.reranked.figures[name]
    return values

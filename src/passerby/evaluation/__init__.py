"""Scoring attributes and re-identification."""

from passerby.evaluation.arrays import evaluate_arrays
from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.evaluate import Report, evaluate
from passerby.evaluation.protocols import EvaluationProtocol
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.evaluation.thresholds import best_thresholds, choose_decision

__all__ = [
    "AttributeReport",
    "EvaluationProtocol",
    "Report",
    "RetrievalReport",
    "best_thresholds",
    "choose_decision",
    "evaluate",
    "evaluate_arrays",
    "evaluate_attributes",
    "evaluate_retrieval",
]

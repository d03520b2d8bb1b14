"""Scoring attributes and re-identification; choosing thresholds and distances."""

from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.calibrate import ENOUGH_PERSONS, calibrated
from passerby.evaluation.evaluate import Report, evaluate
from passerby.evaluation.held_out import (
    for_calibration,
    is_training_data,
    is_unlabelled_data,
    unseen,
)
from passerby.evaluation.protocols import Protocol
from passerby.evaluation.query_scores import check_average_precision
from passerby.evaluation.retrieval import RetrievalReport, evaluate_retrieval
from passerby.evaluation.thresholds import best_thresholds, choose_decision

__all__ = [
    "ENOUGH_PERSONS",
    "AttributeReport",
    "Protocol",
    "Report",
    "RetrievalReport",
    "best_thresholds",
    "calibrated",
    "check_average_precision",
    "choose_decision",
    "evaluate",
    "evaluate_attributes",
    "evaluate_retrieval",
    "for_calibration",
    "is_training_data",
    "is_unlabelled_data",
    "unseen",
]

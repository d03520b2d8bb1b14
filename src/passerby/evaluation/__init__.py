"""Scoring attributes against labels, and choosing thresholds."""

from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.held_out import is_training_data, unseen
from passerby.evaluation.thresholds import best_thresholds

__all__ = [
    "AttributeReport",
    "best_thresholds",
    "evaluate_attributes",
    "is_training_data",
    "unseen",
]

"""Scoring attributes against labels, and choosing thresholds."""

from passerby.evaluation.attributes import AttributeReport, evaluate_attributes
from passerby.evaluation.thresholds import best_thresholds

__all__ = ["AttributeReport", "best_thresholds", "evaluate_attributes"]

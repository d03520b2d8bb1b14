"""Distances between crops, and ranking a gallery by them."""

from passerby.ranking.answer_rule import AnswerRule
from passerby.ranking.answers import answers
from passerby.ranking.calibrated import (
    CalibratedDistance,
    calibrated_distances,
    choose_distance,
)
from passerby.ranking.calibration import Calibration
from passerby.ranking.distance import Distance
from passerby.ranking.pooled_attributes import pooled_attributes
from passerby.ranking.rank import rank
from passerby.ranking.ranking import Ranking
from passerby.ranking.reranking import Reranking

__all__ = [
    "AnswerRule",
    "CalibratedDistance",
    "Calibration",
    "Distance",
    "Ranking",
    "Reranking",
    "answers",
    "calibrated_distances",
    "choose_distance",
    "pooled_attributes",
    "rank",
]

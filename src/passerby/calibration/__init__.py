"""What distances mean: thresholds and probabilities, measured on persons never trained on."""

from passerby.calibration.answer_rule import AnswerRule
from passerby.calibration.answer_sets import find_answer_sets
from passerby.calibration.calibration import Calibration
from passerby.calibration.fitting import ENOUGH_PERSONS, calibrate_distances
from passerby.calibration.identity_pooling import pool_attributes
from passerby.calibration.matcher import Matcher, choose_matcher, read_matchers

__all__ = [
    "ENOUGH_PERSONS",
    "AnswerRule",
    "Calibration",
    "Matcher",
    "calibrate_distances",
    "choose_matcher",
    "find_answer_sets",
    "pool_attributes",
    "read_matchers",
]

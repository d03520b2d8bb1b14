"""Crops, attribute schemas and decoding."""

from passerby.data.crops import DISTRACTOR, JUNK, Crops
from passerby.data.schema import MARKET1501_ATTRIBUTES, Schema

__all__ = ["DISTRACTOR", "JUNK", "MARKET1501_ATTRIBUTES", "Crops", "Schema"]

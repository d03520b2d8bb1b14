"""Crops, the readers that make them, attribute schemas, decoding and the toy renderer."""

from passerby.data.crops import DISTRACTOR, JUNK, Crops
from passerby.data.readers import read_crops
from passerby.data.schema import COURSE, Schema

__all__ = ["COURSE", "DISTRACTOR", "JUNK", "Crops", "Schema", "read_crops"]

"""Crops and their columns, attribute schemas, the query language and decoding."""

from passerby.data.columns import COLUMNS, Column, register_column
from passerby.data.crops import Crops, concatenate
from passerby.data.schema import Attribute, Schema

__all__ = [
    "COLUMNS",
    "Attribute",
    "Column",
    "Crops",
    "Schema",
    "concatenate",
    "register_column",
]

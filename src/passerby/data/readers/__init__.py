"""Readers of the dataset layouts: each turns a folder into `Crops`."""

from passerby.data.readers.read import PARTS, read_crops, survey

__all__ = ["PARTS", "read_crops", "survey"]

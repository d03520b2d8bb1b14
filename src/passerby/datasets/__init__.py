"""Readers of the dataset layouts: each turns a folder into `Crops`."""

from passerby.datasets.reading import PARTS, read_crops, survey

__all__ = ["PARTS", "read_crops", "survey"]

"""Readers of datasets, by a registry: each turns a folder into `Crops`."""

from passerby.datasets.reading import read_crops, survey
from passerby.datasets.registry import (
    Dataset,
    known_datasets,
    recognize,
    register_dataset,
    unregister_dataset,
)

__all__ = [
    "Dataset",
    "known_datasets",
    "read_crops",
    "recognize",
    "register_dataset",
    "survey",
    "unregister_dataset",
]

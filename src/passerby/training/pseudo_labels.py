"""Pseudo-labels: what a model that is being trained makes of crops that nobody annotated.

Crops whose neighbours are the same become a person (clusters of Jaccard distances, as Ge et al.,
"Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID", NeurIPS 2020,
section 3.2), whose attributes are what the model sees in all the person's crops on average: what
hides in one crop shows in another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.cluster import DBSCAN
from torch import Tensor

from passerby.inference.embeddings import Embeddings
from passerby.ranking.reranking import jaccard_neighbours
from passerby.training.recipe import PseudoLabelSection

NOBODY = -1
"""The person of a crop that is like too few others."""


@dataclass(frozen=True)
class PseudoLabels:
    """K persons found among M crops.

    Attributes:
        persons: of each crop, from 0 on, or `NOBODY`, int64, shape (M,).
        vectors: each person's mean embedding, normalised, float32, shape (K, D).
        attributes: each person's mean probabilities, float32, shape (K, attributes).
    """

    persons: NDArray[np.int64]
    vectors: NDArray[np.float32]
    attributes: NDArray[np.float32]

    @classmethod
    def of(cls, people: Embeddings, section: PseudoLabelSection) -> "PseudoLabels":
        """Find persons among crops.

        Args:
            people: the model's answers for M crops.
            section: `pseudo_labels` of the recipe.
        """
        return cls.of_persons(people, clusters(people.vectors, section.radius, section.crops))

    @classmethod
    def of_persons(cls, people: Embeddings, persons: NDArray[np.int64]) -> "PseudoLabels":
        """Return what a model sees of persons who are known.

        Args:
            people: the model's answers for M crops.
            persons: of each crop, from 0 on without a gap, or `NOBODY`, shape (M,).
        """
        vectors = means(people.vectors, persons)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        tiny = np.finfo(np.float32).tiny
        attributes = means(_attributes(people), persons)
        return cls(persons, vectors / np.maximum(lengths, tiny), attributes)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "PseudoLabels":
        """Undo `tensors`."""
        return cls(**{name: tensors[name].cpu().numpy() for name in _names()})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The fields by name, for a checkpoint."""
        return {name: torch.from_numpy(getattr(self, name)) for name in _names()}

    @property
    def summary(self) -> str:
        """What was found, in one sentence, and what to do if it is not what was hoped for."""
        found, crops = len(self.vectors), len(self.persons)
        if found == 0:
            return (
                f"None of {crops:,} unlabelled crops are alike enough to be a person: the phase "
                "learns from the annotated ones alone; a larger pseudo_labels.radius finds more."
            )
        if found == 1:
            return (
                f"{self.crops:,} of {crops:,} unlabelled crops look like one and the same person: "
                "a smaller pseudo_labels.radius tells them apart."
            )
        return f"{self.crops:,} of {crops:,} unlabelled crops show {found:,} persons."

    @property
    def crops(self) -> int:
        """How many crops show one of the persons."""
        return int((self.persons != NOBODY).sum())


def _attributes(people: Embeddings) -> NDArray[np.float32]:
    """Return the probabilities, shape (M, 0) of a network without attributes."""
    if people.attributes is None:
        return np.zeros((len(people), 0), np.float32)
    return people.attributes


def _names() -> list[str]:
    return [field.name for field in fields(PseudoLabels)]


def clusters(vectors: NDArray[np.float32], radius: float, crops: int) -> NDArray[np.int64]:
    """Return the cluster of each crop, or `NOBODY` (DBSCAN, Ester et al. 1996).

    Args:
        vectors: embeddings, float32, shape (M, D).
        radius: crops whose neighbourhoods' Jaccard distance is at most this are neighbours.
        crops: so many neighbours, itself among them, make a crop the core of a cluster.

    Returns:
        Numbers from 0 on, int64, shape (M,).
    """
    near = list(jaccard_neighbours(vectors, radius))
    columns = np.concatenate([rows for rows, _ in near])
    distances = np.concatenate([values for _, values in near])
    starts = np.cumsum([0, *(len(rows) for rows, _ in near)])
    graph = csr_array((distances, columns, starts), shape=(len(near), len(near)))
    found = DBSCAN(eps=radius, min_samples=crops, metric="precomputed").fit_predict(graph)
    return found.astype(np.int64)


def means(values: NDArray[np.float32], persons: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean of each person's rows, shape (K, columns)."""
    known = persons != NOBODY
    counts = np.bincount(persons[known])
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, persons[known], values[known])
    return (sums / counts[:, None]).astype(np.float32)

"""What is to be learned: crops, each of a person, with the person's attributes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops, concatenate, owners
from passerby.training.pseudo_labels import NOBODY, PseudoLabels


@dataclass(frozen=True)
class TrainingSamples:
    """N crops of P persons.

    Attributes:
        crops: the images.
        persons: from 0 on, those of the annotation first, int64, shape (N,).
        attributes: probability that the person has each, float32, shape (N, attributes); 0 or 1
            where annotated, NaN where unknown, (N, 0) without annotation.
    """

    crops: Crops
    persons: NDArray[np.int64]
    attributes: NDArray[np.float32]

    @classmethod
    def of(cls, crops: Crops) -> "TrainingSamples":
        """Return what crops teach; one whose person is not known counts as a person of its own."""
        persons = np.unique_inverse(owners(crops)).inverse_indices
        labels = np.zeros((len(crops), 0), np.float32) if crops.labels is None else crops.labels
        return cls(crops, persons, labels)

    def with_others(self, crops: Crops, found: PseudoLabels) -> "TrainingSamples":
        """Add the persons that were found among unlabelled crops."""
        rows = np.flatnonzero(found.persons != NOBODY)
        theirs = found.persons[rows]
        attributes = found.attributes[theirs, : self.attributes.shape[1]]
        return TrainingSamples(
            concatenate([self.crops.without_labels(), crops[rows]]),
            np.concatenate([self.persons, self.person_count + theirs]),
            np.concatenate([self.attributes, attributes]),
        )

    @property
    def person_count(self) -> int:
        """How many persons P there are."""
        return int(self.persons.max()) + 1

    def __len__(self) -> int:
        return len(self.crops)

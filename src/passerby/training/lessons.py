"""What is to be learned: crops, each of a person, with the person's attributes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.training.pseudo_labels import NOBODY, PseudoLabels


@dataclass(frozen=True)
class Lessons:
    """N crops of P persons.

    Attributes:
        paths: image files, N of them.
        persons: from 0 on, those of the annotation first, int64, shape (N,).
        attributes: probability that the person has each, float32, shape (N, attributes); 0 or 1
            where annotated, (N, 0) without annotation.
    """

    paths: tuple[Path, ...]
    persons: NDArray[np.int64]
    attributes: NDArray[np.float32]

    @classmethod
    def of(cls, crops: Crops, unlabelled: Crops | None, found: PseudoLabels | None) -> "Lessons":
        """Return what annotated crops teach, and what was found among unlabelled ones.

        Args:
            crops: of real persons.
            unlabelled: of other persons.
            found: among them, if they are to be learned from.
        """
        persons = np.unique_inverse(crops.known_persons).inverse_indices
        labels = np.zeros((len(crops), 0)) if crops.labels is None else crops.labels
        lessons = cls(crops.paths, persons, labels.astype(np.float32))
        if unlabelled is None or found is None:
            return lessons
        rows = np.flatnonzero(found.persons != NOBODY)
        theirs = found.persons[rows]
        attributes = found.attributes[theirs, : labels.shape[1]]
        return cls(
            crops.paths + unlabelled[rows].paths,
            np.concatenate([persons, lessons.person_count + theirs]),
            np.concatenate([lessons.attributes, attributes]),
        )

    @property
    def person_count(self) -> int:
        """How many persons P there are."""
        return int(self.persons.max()) + 1

    def __len__(self) -> int:
        return len(self.paths)

"""What is to be learned: crops, of whom they are and what can be seen in them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import NOBODY_CODE, Crops, concatenate
from passerby.training.pseudo_labels import NOBODY, PseudoLabels

_FOUND = "unlabelled"


@dataclass(frozen=True)
class TrainingSamples:
    """N crops of P persons.

    Attributes:
        crops: the images.
        persons: from 0 on, those of the annotation first, int64, shape (N,); `NOBODY` where the
            person is unknown.
        attributes: probability that the person has each, float32, shape (N, attributes); 0 or 1
            where annotated, NaN where unknown, (N, 0) without annotation.
        sets: which dataset each belongs to, places in `set_names`, int64, shape (N,).
        set_names: of the datasets; what was found without annotation comes last.
    """

    crops: Crops
    persons: NDArray[np.int64]
    attributes: NDArray[np.float32]
    sets: NDArray[np.int64]
    set_names: tuple[str, ...]

    @classmethod
    def of(cls, crops: Crops, attributes: int = 0) -> "TrainingSamples":
        """Return what crops teach.

        Args:
            crops: N crops.
            attributes: how many are learned, of crops without annotation.
        """
        persons = np.full(len(crops), NOBODY, np.int64)
        if crops.has_persons:
            known = crops.person_codes > NOBODY_CODE
            persons[known] = np.unique_inverse(crops.person_codes[known]).inverse_indices
        labels = crops.labels
        if labels is None:
            labels = np.full((len(crops), attributes), np.nan, np.float32)
        names = np.zeros(len(crops), "U1") if crops.dataset is None else crops.dataset
        found = np.unique_inverse(names)
        return cls(crops, persons, labels, found.inverse_indices, tuple(found.values.tolist()))

    def with_attributes(self, seen: PseudoLabels) -> "TrainingSamples":
        """Let persons have those attributes that a model sees where nothing is annotated.

        Args:
            seen: of these persons.
        """
        known = self.persons != NOBODY
        attributes = self.attributes.copy()
        theirs = attributes[known]
        attributes[known] = np.where(np.isnan(theirs), seen.attributes[self.persons[known]], theirs)
        return replace(self, attributes=attributes)

    def with_others(self, crops: Crops, found: PseudoLabels) -> "TrainingSamples":
        """Add the persons that were found among unlabelled crops."""
        rows = np.flatnonzero(found.persons != NOBODY)
        theirs = found.persons[rows]
        attributes = found.attributes[theirs, : self.attributes.shape[1]]
        return TrainingSamples(
            concatenate([self.crops.without_labels(), crops[rows]]),
            np.concatenate([self.persons, self.person_count + theirs]),
            np.concatenate([self.attributes, attributes]),
            np.concatenate([self.sets, np.full(len(rows), len(self.set_names))]),
            (*self.set_names, _FOUND),
        )

    @property
    def person_count(self) -> int:
        """How many persons P there are."""
        return int(self.persons.max(initial=NOBODY)) + 1

    @property
    def person_sets(self) -> NDArray[np.int64]:
        """Of each person the dataset, places in `set_names`, int64, shape (P,)."""
        found = np.zeros(self.person_count, np.int64)
        known = self.persons != NOBODY
        found[self.persons[known]] = self.sets[known]
        return found

    def __len__(self) -> int:
        return len(self.crops)

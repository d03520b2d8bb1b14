"""The table of crops that everything reads."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema
from passerby.errors import InputError

DISTRACTOR = 0
"""Person id of a wrong detection: it stays in a gallery as a wrong answer."""

JUNK = -1
"""Person id of a crop without influence on any score."""


@dataclass(frozen=True)
class Crops:
    """N crops with what is known about them, one row each.

    Attributes:
        paths: image files, N of them.
        persons: person ids, int64, shape (N,); 0 = distractor, -1 = junk; None if unknown.
        cameras: camera ids, int64, shape (N,); None for data without cameras.
        labels: attribute labels of the person in each crop, bool, shape (N, attributes);
            None if there are none.
        schema: names the columns of `labels`; given exactly when `labels` is.
    """

    paths: tuple[Path, ...]
    persons: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None
    labels: NDArray[np.bool_] | None = None
    schema: Schema | None = None

    def __post_init__(self) -> None:
        count = len(self.paths)
        for name in ("persons", "cameras"):
            ids = getattr(self, name)
            if ids is not None and (ids.shape != (count,) or ids.dtype != np.int64):
                raise ValueError(f"{name} must be int64 of shape ({count},)")
        if (self.labels is None) != (self.schema is None):
            raise ValueError("labels and schema come together")
        if self.labels is not None and self.schema is not None:
            expected = (count, len(self.schema))
            if self.labels.shape != expected or self.labels.dtype != np.bool_:
                raise ValueError(f"labels must be bool of shape {expected}")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Self:
        """Return the crops of the given rows: a slice, indices or a mask of shape (N,)."""
        picked = np.arange(len(self))[rows]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in picked),
            persons=None if self.persons is None else self.persons[picked],
            cameras=None if self.cameras is None else self.cameras[picked],
            labels=None if self.labels is None else self.labels[picked],
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The file names, with those folders that tell files of the same name apart."""
        names = tuple(path.name for path in self.paths)
        if len(set(names)) == len(names):
            return names
        common = os.path.commonpath([path.parent for path in self.paths])
        return tuple(path.relative_to(common).as_posix() for path in self.paths)

    @property
    def fingerprint(self) -> str:
        """A hash of the file names and their persons: whether two tables are the same data."""
        persons = [""] * len(self) if self.persons is None else self.persons.tolist()
        rows = sorted(f"{path.name}:{p}" for path, p in zip(self.paths, persons, strict=True))
        return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def known_persons(self) -> NDArray[np.int64]:
        """The person id of each crop.

        Raises:
            InputError: there are none.
        """
        if self.persons is None:
            raise InputError(
                "These crops have no person ids: give one folder of crops per person, or a dataset."
            )
        return self.persons

    @property
    def known_cameras(self) -> NDArray[np.int64]:
        """The camera id of each crop.

        Raises:
            InputError: there are none.
        """
        if self.cameras is None:
            raise InputError(
                "These crops have no cameras, so matches within a camera cannot be left out: "
                "evaluate with --cameras ignored."
            )
        return self.cameras

    @property
    def person_ids(self) -> NDArray[np.int64]:
        """The ids of the real persons, ascending; distractors and junk are not among them."""
        return np.unique(self.known_persons[self.known_persons > DISTRACTOR])

    def person_labels(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return each annotated person once.

        Returns:
            Person ids, ascending, shape (persons,), and their labels, (persons, attributes).

        Raises:
            InputError: the crops have no labels or no person ids.
        """
        if self.labels is None or self.persons is None:
            raise InputError("These crops have no attribute labels: give annotated crops.")
        real = np.flatnonzero(self.persons > DISTRACTOR)
        ids, first = np.unique(self.persons[real], return_index=True)
        return ids, self.labels[real[first]]

    def of_persons(self, ids: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the crops of the given persons, in their present order."""
        return self[np.isin(self.known_persons, np.asarray(ids))]

    def split_persons(self, held_out: int, seed: int) -> tuple[Self, Self]:
        """Split by person at random, so that nobody is on both sides.

        Args:
            held_out: how many persons the second part holds, at least 1.
            seed: the same seed gives the same split, whatever the order of the crops.

        Returns:
            The crops of the other persons, and those of the held-out ones.

        Raises:
            InputError: fewer than `held_out` + 1 persons.
        """
        ids = self.person_ids
        if not 0 < held_out < len(ids):
            raise InputError(
                f"Cannot hold out {held_out} of {len(ids)} persons: "
                f"choose a number from 1 to {len(ids) - 1}."
            )
        chosen = np.random.default_rng(seed).permutation(ids)[:held_out]
        rest = np.setdiff1d(ids, chosen)
        return self.of_persons(rest), self.of_persons(chosen)

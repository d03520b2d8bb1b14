"""Dividing the persons of a dataset as a recipe says."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.fitting import check_enough
from passerby.data.crops import Crops, concatenate, owners
from passerby.data.decoding import decode_all
from passerby.errors import InputError
from passerby.training.recipe import Recipe
from passerby.training.unlabelled import Unlabelled


@dataclass(frozen=True)
class Split:
    """Who is trained on, who sets the thresholds, and who is left for evaluation.

    Attributes:
        train, calibration, held_out: crops of different persons.
        unlabelled: crops of yet others, without annotation.
        fingerprint: of all the annotated data.
    """

    train: Crops
    calibration: Crops | None
    held_out: Crops | None
    unlabelled: Unlabelled | None
    fingerprint: str

    @classmethod
    def of(cls, crops: Crops, recipe: Recipe) -> "Split":
        """Split as the recipe says, by person; a crop whose person is not known stands alone.

        Raises:
            InputError: there are too few persons, persons are not known that the recipe needs, or
                the unlabelled crops are not as they have to be.
        """
        section = recipe.data
        fingerprint = crops.fingerprint
        unlabelled = Unlabelled.of(recipe, crops)
        crops = crops[owners(crops) >= 0]
        unknown = _without_person(crops)
        if recipe.needs_persons and unknown.any():
            raise InputError(
                f"{int(unknown.sum()):,} of {len(crops):,} crops have no person, "
                f"{crops.paths[int(unknown.argmax())]} first, but the recipe tells persons apart: "
                "name their persons, leave these crops out, or choose a recipe that learns "
                "attributes alone, such as course-attributes."
            )
        units = "crops" if unknown.all() else "persons"
        held_out = calibration = None
        count = len(np.unique(owners(crops)))
        wanted = section.held_out_persons + section.calibration_persons
        if wanted >= count:
            raise InputError(
                f"The recipe keeps {section.held_out_persons} {units} for evaluation and "
                f"{section.calibration_persons} for calibration, but there are {count}: choose "
                "fewer data.held_out_persons and data.calibration_persons."
            )
        if section.held_out_persons:
            crops, held_out = _divide(crops, section.held_out_persons, section.seed)
        if section.calibration_persons:
            crops, calibration = _divide(crops, section.calibration_persons, section.seed)
            if not unknown.any():
                check_enough(calibration)
        return cls(crops, calibration, held_out, unlabelled, fingerprint)

    def check(self, size: tuple[int, int], progress: Callable[[int, int], None] | None) -> None:
        """Decode the crops that later epochs need: a broken one is better known before the first.

        Args:
            size: (height, width) that the network takes.
            progress: called with (crops decoded, all crops).

        Raises:
            InputError: a crop cannot be decoded.
        """
        parts = [] if self.unlabelled is None else [self.unlabelled.crops]
        if self.calibration is not None:
            parts.append(self.calibration.without_labels())
        later = concatenate(parts)
        for number, _ in enumerate(decode_all(later, size), start=1):
            if progress:
                progress(number, len(later))

    @property
    def begun_with(self) -> str:
        """A fingerprint of the annotated and the unlabelled data, which may not change in a run."""
        others = () if self.unlabelled is None else self.unlabelled.fingerprints
        return "+".join([self.fingerprint, *others])


def _without_person(crops: Crops) -> NDArray[np.bool_]:
    return np.ones(len(crops), np.bool_) if crops.person is None else crops.person == ""


def _divide(crops: Crops, count: int, seed: int) -> tuple[Crops, Crops]:
    """Split as `Crops.split_persons` does; a crop whose person is not known stands alone."""
    owner = owners(crops)
    chosen = np.random.default_rng(seed).permutation(owner.max() + 1)[:count]
    theirs = np.isin(owner, chosen)
    return crops[~theirs], crops[theirs]

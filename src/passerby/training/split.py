"""Dividing the persons of a dataset as a recipe says."""

from collections.abc import Callable
from dataclasses import dataclass

from passerby.calibration.fitting import check_enough
from passerby.data.crops import Crops
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
        """Split the crops of real persons as the recipe says.

        Raises:
            InputError: there are too few persons, or no person ids, or the unlabelled crops are not
                as they have to be.
        """
        section = recipe.data
        fingerprint = crops.fingerprint
        unlabelled = Unlabelled.of(recipe, crops)
        crops = crops.of_persons(crops.person_ids)
        held_out = calibration = None
        wanted = section.held_out_persons + section.calibration_persons
        if wanted >= len(crops.person_ids):
            raise InputError(
                f"The recipe keeps {section.held_out_persons} persons for evaluation and "
                f"{section.calibration_persons} for calibration, but there are "
                f"{len(crops.person_ids)}: choose fewer with --set data.held_out_persons=N and "
                "--set data.calibration_persons=N."
            )
        if section.held_out_persons:
            crops, held_out = crops.split_persons(section.held_out_persons, section.seed)
        if section.calibration_persons:
            crops, calibration = crops.split_persons(section.calibration_persons, section.seed)
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
        paths = () if self.unlabelled is None else self.unlabelled.crops.paths
        if self.calibration is not None:
            paths += self.calibration.paths
        for number, _ in enumerate(decode_all(paths, size), start=1):
            if progress:
                progress(number, len(paths))

    @property
    def begun_with(self) -> str:
        """A fingerprint of the annotated and the unlabelled data, which may not change in a run."""
        others = () if self.unlabelled is None else self.unlabelled.fingerprints
        return "+".join([self.fingerprint, *others])

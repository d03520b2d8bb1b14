"""Dividing the persons of a dataset as a recipe says."""

from dataclasses import dataclass

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.evaluation.calibrate import check_enough
from passerby.training.recipe import Recipe


@dataclass(frozen=True)
class Split:
    """Who is trained on, who sets the thresholds, and who is left for evaluation.

    Attributes:
        train, calibration, held_out: crops of different persons.
        fingerprint: of all the data.
    """

    train: Crops
    calibration: Crops | None
    held_out: Crops | None
    fingerprint: str

    @classmethod
    def of(cls, crops: Crops, recipe: Recipe) -> "Split":
        """Split the crops of real persons as the recipe says.

        Raises:
            InputError: there are too few persons, or no person ids.
        """
        section = recipe.data
        fingerprint = crops.fingerprint
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
        return cls(crops, calibration, held_out, fingerprint)

"""Dividing the persons of a dataset as a recipe says."""

from dataclasses import dataclass
from pathlib import Path

from passerby.data.crops import Crops
from passerby.data.readers import read_crops
from passerby.errors import InputError
from passerby.evaluation.calibrate import check_enough
from passerby.training.recipe import Recipe


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
    unlabelled: Crops | None
    fingerprint: str

    @classmethod
    def of(cls, crops: Crops, recipe: Recipe) -> "Split":
        """Split the crops of real persons as the recipe says.

        Raises:
            InputError: there are too few persons, or no person ids; there are no unlabelled crops
                for a phase that learns from them, or some are annotated.
        """
        section = recipe.data
        fingerprint = crops.fingerprint
        unlabelled = _unlabelled(recipe, crops)
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

    @property
    def everything(self) -> str:
        """A fingerprint of the annotated and the unlabelled data."""
        parts = [self.fingerprint]
        if self.unlabelled is not None:
            parts.append(self.unlabelled.fingerprint)
        return "+".join(parts)


def _unlabelled(recipe: Recipe, annotated: Crops) -> Crops | None:
    folders = recipe.data.unlabelled
    wanted = any(phase.pseudo_labels for phase in recipe.phases)
    if wanted and not folders:
        raise InputError(
            "The recipe learns from crops of other persons, without annotation: name their folder "
            "with --set data.unlabelled=FOLDER."
        )
    if folders and not wanted:
        raise InputError(
            "data.unlabelled is given, but no phase of the recipe has pseudo_labels: leave it out, "
            "or set it for a phase, such as --set phases.1.pseudo_labels=true."
        )
    if not wanted:
        return None
    if recipe.phases[0].pseudo_labels and not Path(recipe.model.weights).is_dir():
        raise InputError(
            "phases.0.pseudo_labels: the first phase begins with a network that knows nobody: "
            "learn from the annotated crops first, or give model.weights of an earlier run."
        )
    paths = [path for folder in folders for path in read_crops(folder).paths]
    known = {path.resolve() for path in annotated.paths}
    for path in paths:
        if path.resolve() in known:
            raise InputError(
                f"data.unlabelled: {path} belongs to the annotated data, where persons are held "
                "out: give crops of other persons."
            )
    return Crops(paths=tuple(paths))

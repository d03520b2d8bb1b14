"""The crops without annotation that a recipe learns from."""

import os
from dataclasses import dataclass

from passerby.data.crops import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.training.recipe import Recipe


@dataclass(frozen=True)
class Unlabelled:
    """Crops of other persons than the annotated ones.

    Attributes:
        crops: of all folders, each file once.
        fingerprints: of each folder.
    """

    crops: Crops
    fingerprints: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, annotated: Crops) -> "Unlabelled | None":
        """Read the folders of a recipe; None if it learns from annotated crops alone.

        Raises:
            InputError: a phase learns from unlabelled crops and there are none, or the other way
                round; a folder holds annotated crops, or cannot be read.
        """
        folders = recipe.data.unlabelled
        wanted = any(phase.pseudo_labels for phase in recipe.phases)
        if wanted and not folders:
            raise InputError(
                "The recipe learns from crops of other persons, without annotation: name their "
                "folder with --set data.unlabelled=FOLDER."
            )
        if folders and not wanted:
            last = len(recipe.phases) - 1
            raise InputError(
                "data.unlabelled is given, but no phase of the recipe has pseudo_labels: leave it "
                f"out, or set it for a phase, such as --set phases.{last}.pseudo_labels=true."
            )
        if not wanted:
            return None
        if recipe.phases[0].pseudo_labels and not recipe.model.goes_on:
            raise InputError(
                "phases.0.pseudo_labels: the first phase begins with a network that knows nobody: "
                "learn from the annotated crops first, or give model.weights of an earlier run."
            )
        parts = [_read(folder) for folder in folders]
        # realpath, unlike resolve, lets a link to itself through: decoding names it
        known = {os.path.realpath(path) for path in annotated.paths}
        files = {os.path.realpath(path): path for part in parts for path in part.paths}
        for file, path in files.items():
            if file in known:
                raise InputError(
                    f"data.unlabelled: {path} belongs to the annotated data, where persons are "
                    "held out: give crops of other persons."
                )
        return cls(Crops(tuple(files.values())), tuple(part.fingerprint for part in parts))


def _read(folder: str) -> Crops:
    try:
        return Crops(read_crops(folder).paths)
    except InputError as error:
        raise InputError(f"data.unlabelled: {error}") from error

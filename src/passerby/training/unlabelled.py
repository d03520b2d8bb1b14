"""The crops without annotation that a recipe learns from."""

import os
from dataclasses import dataclass

import numpy as np

from passerby.data.crops import Crops, concatenate
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference.leakage import hash_files
from passerby.training.recipe import Recipe


@dataclass(frozen=True)
class Unlabelled:
    """Crops of other persons than the annotated ones.

    Attributes:
        crops: of all folders, each once.
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
        alone = looks_for_everybody(recipe, annotated)
        if wanted and not folders and not alone:
            if recipe.model.adapt:
                raise InputError(
                    "These crops name persons: train adapt on them, or name a folder of other "
                    "crops in data.unlabelled."
                )
            raise InputError(
                "The recipe learns from crops of other persons, without annotation: name their "
                "folder in data.unlabelled."
            )
        if folders and not wanted:
            last = len(recipe.phases) - 1
            raise InputError(
                "data.unlabelled is given, but no phase of the recipe has pseudo_labels: leave it "
                f"out, or set it for a phase, such as phases.{last}.pseudo_labels: true."
            )
        if not wanted:
            return None
        if recipe.phases[0].pseudo_labels and recipe.model.earlier is None:
            raise InputError(
                "phases.0.pseudo_labels: the first phase begins with a network that knows nobody: "
                "learn from the annotated crops first, or give model.weights of an earlier run."
            )
        if alone and annotated.images is not None and not folders:
            return cls(annotated, ())
        if annotated.images is not None:
            raise InputError(
                "data.unlabelled names files, but the annotated crops are in memory: give these as "
                "files too."
            )
        parts = [_read(folder) for folder in folders]
        if alone:
            parts.append(Crops(annotated.paths, box=annotated.box))
            return cls(_each_once(concatenate(parts)), tuple(part.fingerprint for part in parts))
        crops = _each_once(concatenate(parts))
        # by their content: a copy under another name shows the same person
        known = np.isin(hash_files(crops), hash_files(annotated))
        if known.any():
            path = crops.paths[int(known.argmax())]
            raise InputError(
                f"data.unlabelled: {path} belongs to the annotated data, where persons are held "
                "out: give crops of other persons."
            )
        return cls(crops, tuple(part.fingerprint for part in parts))


def looks_for_everybody(recipe: Recipe, crops: Crops) -> bool:
    """Tell whether a recipe takes the data themselves for crops that nobody annotated.

    It does if all its phases look for persons, and the data name none and no attributes.
    """
    looks = all(phase.pseudo_labels for phase in recipe.phases)
    return looks and not crops.has_persons and crops.labels is None


def _read(folder: str) -> Crops:
    try:
        crops = read_crops(folder)
    except InputError as error:
        raise InputError(f"data.unlabelled: {error}") from error
    return Crops(crops.paths, box=crops.box)


def _each_once(crops: Crops) -> Crops:
    """Leave out crops that were named before, under whatever name of their file."""
    first: dict[tuple[str, tuple[int, ...]], int] = {}
    for row, (file, box) in enumerate(crops.keys):
        # realpath, unlike resolve, lets a link to itself through: reading names it
        first.setdefault((os.path.realpath(file), box), row)
    return crops[np.array(list(first.values()))]

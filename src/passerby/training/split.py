"""Dividing the persons of each dataset as a recipe says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.fitting import check_enough
from passerby.data.crops import Crops, concatenate, owners
from passerby.data.decoding import decode_all
from passerby.datasets.joining import Source
from passerby.errors import InputError
from passerby.inference.model_info import LearnedFrom
from passerby.training.recipe import DataSection, Recipe, SetSection
from passerby.training.unlabelled import Unlabelled, looks_for_everybody


@dataclass(frozen=True)
class Split:
    """Who is trained on, who sets the thresholds, and who is left for evaluation.

    Attributes:
        train, calibration, held_out: crops of different persons.
        unlabelled: crops of yet others, without annotation.
        fingerprint: of all the annotated data.
        learned_from: what is trained on, by dataset.
    """

    train: Crops
    calibration: Crops | None
    held_out: Crops | None
    unlabelled: Unlabelled | None
    fingerprint: str
    learned_from: tuple[LearnedFrom, ...] = ()

    @classmethod
    def of(cls, crops: Crops | Sequence[Source], recipe: Recipe) -> "Split":
        """Split each dataset as the recipe says: by person; by crop where nobody is known.

        Crops without a person, of a dataset that has some, are all trained on.

        Args:
            crops: a dataset, or several that `join` made fit together.
            recipe: everything about the run.

        Raises:
            InputError: there are too few persons, persons are not known that the recipe needs, or
                the unlabelled crops are not as they have to be.
        """
        sources = [Source("", crops)] if isinstance(crops, Crops) else crops
        sections: Sequence[SetSection | None] = recipe.data.sets or [None] * len(sources)
        everything = concatenate([source.crops for source in sources])
        unlabelled = Unlabelled.of(recipe, everything)
        fingerprint = "+".join(source.crops.fingerprint for source in sources)
        if looks_for_everybody(recipe, everything):
            _check_nobody_kept(recipe)
            learned_from = tuple(_learned_from(one, one.crops, recipe) for one in sources)
            return cls(everything[:0], None, None, unlabelled, fingerprint, learned_from)
        _check_persons(everything, recipe)
        parts = [
            _divided(source, section, recipe)
            for source, section in zip(sources, sections, strict=True)
        ]
        train, calibration, held_out = (
            [part for part in side if part is not None] for side in zip(*parts, strict=True)
        )
        return cls(
            concatenate(train),
            concatenate(calibration) if calibration else None,
            concatenate(held_out) if held_out else None,
            unlabelled,
            fingerprint,
            tuple(
                _learned_from(source, part, recipe)
                for source, part in zip(sources, train, strict=True)
            ),
        )

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


def _check_nobody_kept(recipe: Recipe) -> None:
    kept: list[DataSection | SetSection] = [recipe.data, *recipe.data.sets]
    if any(section.held_out_persons or section.calibration_persons for section in kept):
        raise InputError(
            "These crops name nobody, so that nobody can be kept back: set data.held_out_persons "
            "and data.calibration_persons to 0, or name their persons."
        )


def _without_person(crops: Crops) -> NDArray[np.bool_]:
    return np.ones(len(crops), np.bool_) if crops.person is None else crops.person == ""


def _learned_from(source: Source, crops: Crops, recipe: Recipe) -> LearnedFrom:
    taught = crops.labels if "attributes" in recipe.tasks else None
    return LearnedFrom(
        name=Path(source.title).name,
        crops=len(crops),
        labelled=0 if taught is None else int((~np.isnan(taught).all(axis=1)).sum()),
        persons=crops.person_count if crops.has_persons else 0,
        terms=source.terms,
    )


def _check_persons(crops: Crops, recipe: Recipe) -> None:
    """Check that every crop teaches something."""
    if not recipe.needs_persons:
        return
    useless = _without_person(crops)
    if crops.role is not None:
        useless &= crops.role == ""
    if crops.labels is not None and "attributes" in recipe.tasks and crops.has_persons:
        useless &= np.isnan(crops.labels).all(axis=1)
    if useless.any():
        raise InputError(
            f"{int(useless.sum()):,} of {len(crops):,} crops have no person, "
            f"{crops.paths[int(useless.argmax())]} first, but the recipe tells persons apart: "
            "name their persons, leave these crops out, or choose a recipe that learns "
            "attributes alone, such as course-attributes."
        )


def _divided(
    source: Source, section: SetSection | None, recipe: Recipe
) -> tuple[Crops, Crops | None, Crops | None]:
    """Return the crops of one dataset to train on, to calibrate on, and to hold out."""
    data = recipe.data
    wanted = {"held_out": data.held_out_persons, "calibration": data.calibration_persons}
    if section is not None:
        own = {"held_out": section.held_out_persons, "calibration": section.calibration_persons}
        wanted |= {name: count for name, count in own.items() if count is not None}
    crops = source.crops[owners(source.crops) >= 0]
    alone = _without_person(crops)
    units, count = ("crops", len(crops)) if alone.all() else ("persons", crops.person_count)
    where = f"{source.title}: the" if source.title else "The"
    if sum(wanted.values()) >= count:
        raise InputError(
            f"{where} recipe keeps {wanted['held_out']} {units} for evaluation and "
            f"{wanted['calibration']} for calibration, but there are {count}: choose "
            "fewer held_out_persons and calibration_persons, of data or of this set in data.sets."
        )
    held_out = calibration = None
    if wanted["held_out"]:
        crops, held_out = _divide(crops, wanted["held_out"], data.seed)
    if wanted["calibration"]:
        crops, calibration = _divide(crops, wanted["calibration"], data.seed)
        if not _without_person(calibration).any():
            check_enough(calibration, source.title)
        if data.calibration_pairs == "across" and not (
            calibration.camera is not None and any(calibration.camera)
        ):
            raise InputError(
                f"{where} crops are of no known camera, but data.calibration_pairs is across: "
                "name their cameras, or set it to all."
            )
    return crops, calibration, held_out


def _divide(crops: Crops, count: int, seed: int) -> tuple[Crops, Crops]:
    """Split as `Crops.split_persons` does; by crop where nobody is known."""
    owner = owners(crops)
    persons = crops.person_count if crops.has_persons else len(crops)
    chosen = np.random.default_rng(seed).permutation(persons)[:count]
    theirs = np.isin(owner, chosen)
    return crops[~theirs], crops[theirs]

"""What is in a dataset: counts, cameras, attribute frequencies, problems."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.data.crops import DISTRACTOR, JUNK, Crops
from passerby.data.decoding import decode, is_image_name
from passerby.datasets.problems import list_few
from passerby.datasets.reading import survey
from passerby.errors import InputError


@dataclass(frozen=True)
class Description:
    """One part of a dataset in numbers.

    Attributes:
        layout, part: what was read.
        crops, persons, distractors, junk: counts; persons is None without person ids.
        cameras: camera id to its number of crops; None for data without cameras.
        crops_per_person: least, median and most crops of one person.
        attributes: attribute to the fraction of *persons* who have it.
        unfilled_groups: exclusive group to those of its attributes that no person has.
        problems: one sentence each.
    """

    layout: str
    part: str
    crops: int
    persons: int | None
    distractors: int
    junk: int
    cameras: dict[int, int] | None
    crops_per_person: tuple[int, float, int] | None
    attributes: dict[str, float] | None
    unfilled_groups: dict[str, tuple[str, ...]]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(
    data: Path | str, part: str = "train", progress: Callable[[int, int], None] | None = None
) -> Description:
    """Read a dataset, decode every image, and say what is in it.

    Args:
        data: a folder of any known layout.
        part: "train", "gallery" or "query".
        progress: called with (images decoded, all images).

    Raises:
        InputError: the folder does not exist or has no known layout; anything else that is
            wrong is among the description's problems.
    """
    seen = survey(data, part)
    crops = seen.crops
    return Description(
        layout=seen.layout,
        part=part,
        crops=len(crops),
        persons=None if crops.persons is None else len(crops.person_ids),
        distractors=_count(crops, DISTRACTOR),
        junk=_count(crops, JUNK),
        cameras=_crops_per_camera(crops),
        crops_per_person=_crops_per_person(crops),
        attributes=_attribute_frequencies(crops),
        unfilled_groups=_unfilled_groups(crops),
        problems=(*seen.problems, *_passed_over(crops), *_undecodable(crops, progress)),
    )


def _count(crops: Crops, person: int) -> int:
    return 0 if crops.persons is None else int(np.sum(crops.persons == person))


def _crops_per_camera(crops: Crops) -> dict[int, int] | None:
    if crops.cameras is None:
        return None
    cameras, counts = np.unique(crops.cameras, return_counts=True)
    return dict(zip(cameras.tolist(), counts.tolist(), strict=True))


def _crops_per_person(crops: Crops) -> tuple[int, float, int] | None:
    if crops.persons is None or not len(crops.person_ids):
        return None
    _, counts = np.unique(crops.persons[crops.persons > DISTRACTOR], return_counts=True)
    return int(counts.min()), float(np.median(counts)), int(counts.max())


def _attribute_frequencies(crops: Crops) -> dict[str, float] | None:
    if crops.schema is None or not len(crops):
        return None
    frequencies = crops.person_labels()[1].mean(axis=0)
    return dict(zip(crops.schema.attributes, frequencies.tolist(), strict=True))


def _unfilled_groups(crops: Crops) -> dict[str, tuple[str, ...]]:
    if crops.schema is None or not len(crops):
        return {}
    someone = crops.person_labels()[1].any(axis=0)
    filled = {crops.schema.attributes[i] for i in np.flatnonzero(someone)}
    unfilled = {
        group: tuple(a for a in crops.schema.attributes[where] if a not in filled)
        for group, where in crops.schema.groups.items()
    }
    return {group: attributes for group, attributes in unfilled.items() if attributes}


def _passed_over(crops: Crops) -> list[str]:
    """Name the files beside the crops that are not images of a known format."""
    problems = []
    for folder in dict.fromkeys(path.parent for path in crops.paths):
        others = sorted(
            path.name
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".") and not is_image_name(path)
        )
        if others and len(crops) > 1:
            problems.append(
                f"{folder}: {list_few(others)} passed over: no image of a known format."
            )
    return problems


def _undecodable(crops: Crops, progress: Callable[[int, int], None] | None) -> list[str]:
    problems = []
    for done, path in enumerate(crops.paths, start=1):
        try:
            decode(path)
        except InputError as error:
            problems.append(str(error))
        if progress:
            progress(done, len(crops))
    return problems

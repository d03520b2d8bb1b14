"""PETA (Deng et al., ACM MM 2014): folders of crops, each with a `Label.txt`."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops, concatenate
from passerby.datasets.file_names import image_files, sub_folders
from passerby.datasets.peta_attributes import LEFT_OUT, PETA_ATTRIBUTES, SPELLINGS
from passerby.datasets.problems import Problems, list_few

_LABELS = "Label.txt"
_PERSON = re.compile(r"[0-9]+")
_IMAGES = {
    "3DPeS": 1012,
    "CAVIAR4REID": 1220,
    "CUHK": 4563,
    "GRID": 1275,
    "i-LID": 477,
    "MIT": 888,
    "PRID": 1134,
    "SARC3D": 200,
    "TownCentre": 6967,
    "VIPeR": 1264,
}
"""The ten subsets and how many images each has."""
_WITHOUT_PERSONS = frozenset({"CUHK", "MIT"})
"""Subsets with one image a person: their numbers count images."""


class PETA:
    """PETA whole, or any of its ten subsets: `SUBSET/archive/`.

    There is one split, "train", which holds all: PETA's own splits are by image, so most test
    images show a person of the training images. Each subset is a dataset, "peta/3DPeS" and so on,
    since its persons are numbered on their own. Labels are those of `Label.txt`, where a line
    holds for all images of a person; `PETA.mat` repeats them and is not read. Files may end in
    `.jpg` where the original ends in `.bmp` or `.png`. No subset that could be looked at tells
    the camera in its names, so it is unknown.

    Attributes:
        protocol: "course"; "attributes" where there are no persons, as in CUHK and MIT.
    """

    name = "peta"
    title = "PETA"
    layout = "SUBSET/archive/PERSON_….jpg beside SUBSET/archive/Label.txt"
    terms = "Research only, not commercial (Deng et al., ACM MM 2014)."
    splits = ("train",)
    scored = ("train",)
    files = ("Label.txt",)

    def __init__(self, protocol: str = "course") -> None:
        self.protocol = protocol

    def at(self, place: Path) -> "PETA":
        """Return the dataset of a folder: whether it has persons depends on its subsets."""
        subsets = {_subset_of(archive) for archive in _archives(place)}
        return PETA("attributes" if subsets <= _WITHOUT_PERSONS else "course")

    def recognizes(self, folder: Path) -> bool:
        return folder.is_dir() and bool(_archives(folder))

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read all subsets, in the order of their names."""
        archives = _archives(folder)
        parts = [_read_archive(archive, problems) for archive in archives]
        there = {_subset_of(archive): len(image_files(archive)) for archive in archives}
        whole = any(folder not in (archive, archive.parent) for archive in archives)
        _report_missing(folder, there, list(_IMAGES if whole else there), problems)
        return concatenate(parts)


def _archives(folder: Path) -> list[Path]:
    """Return the folders with labels: this one, its `archive`, or those of its folders."""
    places = [folder, folder / "archive", *(sub / "archive" for sub in sub_folders(folder))]
    return [place for place in places if (place / _LABELS).is_file()]


def _subset_of(archive: Path) -> str:
    """Return which of the ten a folder is, in whatever letters; else its own name."""
    place = archive.absolute()
    name = place.parent.name if place.name == "archive" else place.name
    return next((known for known in _IMAGES if known.lower() == name.lower()), name)


def _report_missing(
    folder: Path, there: dict[str, int], wanted: list[str], problems: Problems
) -> None:
    """Say how many images are not there, of subsets whose number of images is known."""
    expected = {subset: _IMAGES[subset] for subset in wanted if subset in _IMAGES}
    missing = {subset: count - there.get(subset, 0) for subset, count in expected.items()}
    missing = {subset: count for subset, count in missing.items() if count > 0}
    if not missing:
        return
    parts = [
        f"{count:,} of {expected[subset]:,} of {subset}"
        for subset, count in missing.items()
        if subset in there
    ]
    if absent := [subset for subset in missing if subset not in there]:
        parts.append(f"all of {list_few(absent, len(absent))}")
    which, detail = (
        (f"peta/{wanted[0]}", "") if len(wanted) == 1 else ("PETA", f" ({'; '.join(parts)})")
    )
    problems.add_missing(
        f"{folder}: {sum(missing.values()):,} of {sum(expected.values()):,} images of {which} are "
        f"missing{detail}"
    )


def _read_archive(archive: Path, problems: Problems) -> Crops:
    labels = _read_labels(archive / _LABELS, problems)
    subset = _subset_of(archive)
    paths, persons, strangers, unlabelled = [], [], [], []
    for path in image_files(archive):
        match = _PERSON.match(path.name)
        if match is None:
            strangers.append(path.name)
        elif match[0] not in labels:
            unlabelled.append(path.name)
        else:
            paths.append(path)
            persons.append(match[0])
    if strangers:
        problems.add(f"{archive}: {list_few(strangers)} not named PERSON_….jpg: rename.")
    if unlabelled:
        problems.add(
            f"{archive}: {_LABELS} has no line for {list_few(unlabelled)}: add the lines, or "
            "remove the images."
        )
    if unseen := sorted(set(labels) - set(persons)):
        problems.remark(f"{archive / _LABELS}: no image of person {list_few(unseen)}.")
    rows = np.array([labels[person] for person in persons], np.float32)
    return Crops(
        paths,
        dataset=[f"{PETA.name}/{subset}"] * len(paths),
        person=None if subset in _WITHOUT_PERSONS else persons,
        labels=rows.reshape(len(paths), len(PETA_ATTRIBUTES)),
        schema=PETA_ATTRIBUTES,
    )


def _read_labels(file: Path, problems: Problems) -> dict[str, NDArray[np.float32]]:
    """Read lines such as `0606.png upperBodyGrey personalMale`; what is not named is absent."""
    places = {name: place for place, name in enumerate(PETA_ATTRIBUTES.names)}
    labels: dict[str, NDArray[np.float32]] = {}
    unknown: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        name, *tokens = line.split()
        match = _PERSON.match(name)
        if match is None:
            problems.add(f"{file}, line {number}: {name[:80]!r} is not a person: begin with one.")
            continue
        if match[0] in labels:
            problems.add(f"{file}, line {number}: person {match[0]} has a line already: keep one.")
            continue
        row = np.zeros(len(places), np.float32)
        for token in tokens:
            spelled = SPELLINGS.get(token, token)
            if spelled in places:
                row[places[spelled]] = 1
            else:
                (left_out if token in LEFT_OUT else unknown)[token] += 1
        labels[match[0]] = row
    if unknown:
        problems.add(
            f"{file}: {list_few(sorted(unknown))} is not an attribute of PETA: correct the name, "
            "or write a manifest with attributes of your own."
        )
    if left_out:
        problems.remark(f"{file}: {list_few(sorted(left_out))} left out, as in PETA.mat.")
    return labels

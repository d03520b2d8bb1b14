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


class PETA:
    """PETA whole, or any of its ten subsets: `SUBSET/archive/`."""

    name = "peta"
    title = "PETA"
    layout = "SUBSET/archive/PERSON_….jpg beside SUBSET/archive/Label.txt"
    terms = "Research only, not commercial (Deng et al., ACM MM 2014)."
    splits = ("train",)
    scored = ("train",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        return folder.is_dir() and bool(_archives(folder))

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read all subsets, in the order of their names; each is a dataset of its own."""
        parts = [_read_archive(archive, problems) for archive in _archives(folder)]
        return concatenate(parts)


def _archives(folder: Path) -> list[Path]:
    """Return the folders with labels: this one, its `archive`, or those of its folders."""
    places = [folder, folder / "archive", *(sub / "archive" for sub in sub_folders(folder))]
    return [place for place in places if (place / _LABELS).is_file()]


def _read_archive(archive: Path, problems: Problems) -> Crops:
    labels = _read_labels(archive / _LABELS, problems)
    subset = archive.parent.name if archive.name == "archive" else archive.name
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
        dataset=[subset] * len(paths),
        person=persons,
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

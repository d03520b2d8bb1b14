"""One folder per person, named by an id or by a name."""

from pathlib import Path

import numpy as np

from passerby.data.crops import Crops
from passerby.datasets.file_names import camera_of, image_files
from passerby.datasets.problems import Problems, list_few


def person_folders(folder: Path) -> list[Path]:
    """Return the visible sub-folders, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_person_folders(folder: Path) -> bool:
    return any(image_files(person) for person in person_folders(folder))


def read_person_folders(folder: Path, problems: Problems) -> Crops:
    """Read all crops; cameras are taken from the file names if every name tells one.

    Folders named by whole numbers of up to nine digits keep them as person ids; otherwise the
    persons are numbered from 1 in the order of the folders' names.
    """
    folders = person_folders(folder)
    numbered = all(p.name.isdecimal() and len(p.name) < 10 for p in folders)
    paths: list[Path] = []
    persons: list[int] = []
    empty: list[str] = []
    for position, person in enumerate(folders, start=1):
        images = image_files(person)
        if not images:
            empty.append(person.name)
        paths += images
        persons += [int(person.name) if numbered else position] * len(images)
    if empty:
        problems.add(f"{folder}: no image in folder {list_few(empty)}: add crops or remove it.")
    cameras = [camera_of(path) for path in paths]
    known = [camera for camera in cameras if camera is not None]
    return Crops(
        paths=tuple(paths),
        persons=np.array(persons, np.int64),
        cameras=np.array(known, np.int64) if len(known) == len(paths) else None,
    )

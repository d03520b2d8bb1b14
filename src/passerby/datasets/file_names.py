"""What Market-style file names say: person and camera."""

import re
from pathlib import Path

from passerby.data.decoding import is_image_name
from passerby.datasets.problems import Problems, list_few

_PERSON_CAMERA = re.compile(r"^(?P<person>-1|\d{1,9})_c(?P<camera>\d{1,9})(?:s\d+)?_")
_CAMERA = re.compile(r"(?:^|_)c(?P<camera>\d{1,9})(?:s\d+)?(?=_|\.|$)")


def image_files(folder: Path) -> list[Path]:
    """Return the images directly in a folder, sorted by name."""
    return sorted((p for p in folder.iterdir() if is_image_name(p)), key=lambda p: p.name)


def camera_of(path: Path) -> int | None:
    """Return the camera in a name such as `x_c3s1_000.jpg` or `0002_c10_5.jpg`, else None."""
    match = _CAMERA.search(path.stem)
    return int(match["camera"]) if match else None


def read_named_images(folder: Path, problems: Problems) -> tuple[list[Path], list[int], list[int]]:
    """Return the images of a folder with the person and the camera that each name says.

    Names look like `0002_c1s1_000451_03.jpg` (official), `0002_c1_016620005.jpg` (course),
    `-1_c2s1_…` (junk) or `0000_c3s1_…` (distractor). Others go to `problems` and are left out.
    """
    paths, persons, cameras, strangers = [], [], [], []
    for path in image_files(folder):
        match = _PERSON_CAMERA.match(path.name)
        if match is None:
            strangers.append(path.name)
            continue
        paths.append(path)
        persons.append(int(match["person"]))
        cameras.append(int(match["camera"]))
    if strangers:
        problems.add(
            f"{folder}: {list_few(strangers)} not named PERSON_cCAMERA_NUMBER.jpg: rename."
        )
    return paths, persons, cameras

"""What Market-style file names say: person and camera."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passerby.data.columns import DISTRACTOR, JUNK
from passerby.data.decoding import is_image_name
from passerby.datasets.problems import Problems, list_few

_PERSON_CAMERA = re.compile(
    r"^(?P<person>-1|[0-9]{1,20})_c(?P<camera>[0-9]{1,20})(?:s[0-9]+)?(?=_|\.)", re.IGNORECASE
)
_CAMERA = re.compile(r"(?:^|_)c(?P<camera>[0-9]{1,20})(?:s[0-9]+)?(?=_|\.|$)", re.IGNORECASE)
_JUNK_PERSON = "-1"


@dataclass
class NamedImages:
    """Images and what their names say, one row each.

    Attributes:
        paths: the files.
        persons: exactly as in the name; empty for distractors and junk.
        cameras: the digits after `c`.
        roles: "distractor", "junk" or empty.
    """

    paths: list[Path] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    @property
    def role(self) -> list[str] | None:
        """The column `role`; None if every crop shows a person."""
        return self.roles if any(self.roles) else None


def image_files(folder: Path) -> list[Path]:
    """Return the images directly in a folder, sorted by name."""
    return sorted((p for p in folder.iterdir() if is_image_name(p)), key=lambda p: p.name)


def sub_folders(folder: Path) -> list[Path]:
    """Return the visible folders directly in a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def camera_of(path: Path) -> str | None:
    """Return the camera in a name such as `x_c3s1_000.jpg` or `0005_C2_F0012.jpg`, else None."""
    match = _CAMERA.search(path.stem)
    return match["camera"] if match else None


def cameras_of(paths: Sequence[Path]) -> list[str] | None:
    """Return the camera of each name; None if one tells none."""
    cameras = [camera_of(path) for path in paths]
    known = [camera for camera in cameras if camera is not None]
    return known if len(known) == len(paths) and known else None


def person_of(path: Path) -> str | None:
    """Return the person in a Market-style name; None if it tells none."""
    match = _PERSON_CAMERA.match(path.name)
    return match["person"] if match and not role_of(match["person"]) else None


def role_of(person: str) -> str:
    """Return what Market-1501's code of a person stands for; empty for persons."""
    if person == _JUNK_PERSON:
        return JUNK
    return "" if person.strip("0") else DISTRACTOR


def read_named_images(folder: Path, problems: Problems) -> NamedImages:
    """Return the images of a folder with what each name says.

    Names look like `0002_c1s1_000451_03.jpg` (official), `0002_c1_016620005.jpg` (course),
    `-1_c2s1_…` (junk) or `0000_c3s1_…` (distractor). Others go to `problems` and are left out.
    """
    found, strangers = NamedImages(), []
    for path in image_files(folder):
        match = _PERSON_CAMERA.match(path.name)
        if match is None:
            strangers.append(path.name)
            continue
        role = role_of(match["person"])
        found.paths.append(path)
        found.persons.append("" if role else match["person"])
        found.cameras.append(match["camera"])
        found.roles.append(role)
    if strangers:
        problems.add(
            f"{folder}: {list_few(strangers)} not named PERSON_cCAMERA_NUMBER.jpg: rename."
        )
    return found


def read_name(path: Path) -> dict[str, str]:
    """Return what a Market-style name says: person and camera, as far as it tells them."""
    said = {"person": person_of(path), "camera": camera_of(path)}
    return {name: value for name, value in said.items() if value is not None}

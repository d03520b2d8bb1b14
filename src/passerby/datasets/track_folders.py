"""One folder per track, in one folder per camera or video."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from passerby.data.columns import parse_value
from passerby.data.crops import Crops
from passerby.datasets.file_names import image_files, sub_folders
from passerby.datasets.problems import Problems, list_few
from passerby.datasets.unrecognized import has_foreign_layout, names_no_person
from passerby.errors import InputError

_CAMERA = re.compile(r"cam(?:era)?(?:[ _.-].+|\d\w*|[a-z])?|c\d+", re.IGNORECASE)


class TrackFolders:
    """One folder of crops per track: `cam01/0007/*.jpg`, `lobby.mp4/12/*.jpg`."""

    name = "track_folders"
    title = "one folder per track"
    layout = "CAMERA/TRACK/*.jpg or SOURCE/TRACK/*.jpg"
    terms = ""
    splits = ("train",)
    scored = ("train",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        if not folder.is_dir() or image_files(folder) or has_foreign_layout(folder):
            return False
        upper = sub_folders(folder)
        if any(names_no_person(place.name) or image_files(place) for place in upper):
            return False
        filled = [track for track in self._tracks(folder) if image_files(track)]
        return bool(filled) and not any(names_no_person(track.name) for track in filled)

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read all crops: an upper folder named like a camera is one, any other is a source."""
        paths: list[Path] = []
        columns: dict[str, list[str]] = {"camera": [], "source": [], "track": []}
        empty: list[str] = []
        for track in self._tracks(folder):
            images = image_files(track)
            if not images:
                empty.append(f"{track.parent.name}/{track.name}")
                continue
            upper = "camera" if _CAMERA.fullmatch(track.parent.name) else "source"
            values = dict.fromkeys(columns, "") | {upper: track.parent.name, "track": track.name}
            try:
                for column, text in values.items():
                    parse_value(column, text, str(folder))
            except InputError as error:
                problems.add(f"{str(error).removesuffix('.')}: rename the folder.")
                continue
            paths += images
            for column, text in values.items():
                columns[column] += [text] * len(images)
        if empty:
            problems.add(f"{folder}: no image in folder {list_few(empty)}: add crops or remove it.")
        if paths:
            problems.remark(
                f"The folders of {folder} are taken as tracks: if they are persons, give the "
                "`pattern` 'cam{camera}/{person}/*.jpg'."
            )
        known: dict[str, Any] = {name: texts for name, texts in columns.items() if any(texts)}
        return Crops(paths, **known)

    @staticmethod
    def _tracks(folder: Path) -> Iterator[Path]:
        for upper in sub_folders(folder):
            yield from sub_folders(upper)

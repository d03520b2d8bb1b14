"""CUHK03 as a folder of detected crops, split 767/700 (Zhong et al., CVPR 2017).

`cuhk03_767_700.txt` says of each of the 14,097 detected crops in which split it is. It was written
from the official `cuhk03_new_protocol_config_detected.mat`: `train_idx`, `query_idx` and
`gallery_idx` count the names of `filelist` from 1, and a name `PAIR_PERSON_VIEW_CELL.png` is
person `_FIRST_OF_PAIR[PAIR - 1] + PERSON - 1` and image `CELL - 1`. A test compares the two.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.file_names import image_files
from passerby.datasets.problems import Problems, list_few

_NAME = re.compile(r"(?P<person>[0-9]{4})_(?P<image>[0-9]{2})")
_EXTRACTED = re.compile(r"(?P<pair>[1-5])_(?P<person>[0-9]{3})_(?P<view>[12])_(?P<cell>[0-9]{2})")
_FIRST_OF_PAIR = (0, 843, 1283, 1360, 1418, 1467)
"""The first person of each of the five pairs of cameras, and how many there are; of each person
the images 0 to 4 are of one camera of the pair, 5 to 9 of the other."""
_MARKS = {"train": "t", "query": "q", "gallery": "g"}
_FEWEST = 100
"""Images that a folder of names such as `0001_02.jpg` must hold to be taken for CUHK03."""


class CUHK03:
    """CUHK03, detected, one file a crop: `PERSON_IMAGE.jpg`, or as the .mat is often extracted.

    A person is called as in `PERSON_IMAGE.jpg`, "0000" to "1466", whichever way the files are
    named: one less than the official label. A camera is `PAIR_VIEW`, "1_1" to "5_2"; since nobody
    is seen by two pairs, leaving out matches within it is what the protocol does with `camId`.
    """

    name = "cuhk03"
    title = "CUHK03 (detected, 767/700)"
    layout = "PERSON_IMAGE.jpg, 0000_00.jpg to 1466_09.jpg, or PAIR_PERSON_VIEW_CELL.png"
    terms = "Academic research only (Li et al., DeepReID, CVPR 2014)."
    splits = tuple(_MARKS)
    scored = ("query", "gallery")
    protocol = "market"

    def recognizes(self, folder: Path) -> bool:
        """Tell whether all names are those of detected crops.

        Others may call theirs `0001_02.jpg` too: their names would have to be among CUHK03's,
        which lack one in 25, and be many.
        """
        if not folder.is_dir():
            return False
        images = image_files(folder)
        crops = [_crop_of(path) for path in images]
        extracted = sum(_EXTRACTED.fullmatch(path.stem) is not None for path in images)
        if extracted > len(images) / 2:
            return True
        many = len(images) >= _FEWEST or (bool(images) and "cuhk03" in folder.name.lower())
        return many and None not in crops

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one split."""
        mark = _MARKS[split]
        found: dict[tuple[str, int], Path] = {}
        strangers: list[str] = []
        twice: list[str] = []
        for path in image_files(folder):
            crop = _crop_of(path)
            if crop is None:
                strangers.append(path.name)
            elif _split_marks()[crop[0]][crop[1]] != mark:
                continue
            elif crop in found:
                twice.append(path.name)
            else:
                found[crop] = path
        if strangers:
            problems.add(
                f"{folder}: {list_few(strangers)} not among the detected crops of CUHK03: remove "
                "them, or get the detected set."
            )
        if twice:
            problems.add(f"{folder}: {list_few(twice)} is there in two files: keep one.")
        wanted = [
            (person, image)
            for person, marks in _split_marks().items()
            for image in range(len(marks))
            if marks[image] == mark
        ]
        missing = [
            f"{person}_{image:02d}" for person, image in wanted if (person, image) not in found
        ]
        if missing:
            problems.add_missing(
                f"{folder}: {len(missing):,} of {len(wanted):,} crops of the split {split!r} of "
                f"CUHK03 are missing ({list_few(missing)})"
            )
        crops = [crop for crop in wanted if crop in found]
        return Crops(
            [found[crop] for crop in crops],
            dataset=[self.name] * len(crops),
            person=[person for person, _ in crops],
            camera=[_camera(int(person), image) for person, image in crops],
        )


def _crop_of(path: Path) -> tuple[str, int] | None:
    """Return the person and the image, from 0, that a name stands for; None for other names."""
    if match := _NAME.fullmatch(path.stem):
        person, image = match["person"], int(match["image"])
    elif match := _EXTRACTED.fullmatch(path.stem):
        pair, image = int(match["pair"]), int(match["cell"]) - 1
        number = _FIRST_OF_PAIR[pair - 1] + int(match["person"]) - 1
        in_pair = _FIRST_OF_PAIR[pair - 1] <= number < _FIRST_OF_PAIR[pair]
        if not in_pair or int(match["view"]) != 1 + (image > 4):
            return None
        person = f"{number:04d}"
    else:
        return None
    marks = _split_marks().get(person, "")
    return (person, image) if 0 <= image < len(marks) and marks[image] != "." else None


def _camera(person: int, image: int) -> str:
    pair = sum(person >= first for first in _FIRST_OF_PAIR)
    return f"{pair}_{1 if image < 5 else 2}"


@cache
def _split_marks() -> dict[str, str]:
    """Return of each person, in order, the marks of their ten images."""
    text = files("passerby.datasets").joinpath("cuhk03_767_700.txt").read_text("utf-8")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return dict(lines)

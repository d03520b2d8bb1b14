"""CUHK03 as a folder of detected crops, split 767/700 (Zhong et al., CVPR 2017)."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.file_names import image_files
from passerby.datasets.problems import Problems, list_few

_NAME = re.compile(r"(?P<person>[0-9]{4})_(?P<image>0[0-9])")
_FIRST_OF_PAIR = (0, 843, 1283, 1360, 1418)
"""The first person of each of the five pairs of cameras; of each person the images 0 to 4 are of
one camera of the pair, 5 to 9 of the other."""
_CROPS = {"train": 7365, "query": 1400, "gallery": 5332}
_PERSONS = 1467
_LOOKED_AT = 50


class CUHK03:
    """CUHK03, detected, one file a crop: `PERSON_IMAGE.jpg`."""

    name = "cuhk03"
    title = "CUHK03 (detected, 767/700)"
    layout = "PERSON_IMAGE.jpg, 0000_00.jpg to 1466_09.jpg"
    terms = "Academic research only (Li et al., DeepReID, CVPR 2014)."
    splits = tuple(_CROPS)
    scored = ("query", "gallery")
    protocol = "market"

    def recognizes(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        matches = [_NAME.fullmatch(path.stem) for path in image_files(folder)[:_LOOKED_AT]]
        return bool(matches) and all(
            match is not None and int(match["person"]) < _PERSONS for match in matches
        )

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one split; cameras are called `PAIR_VIEW`, from "1_1" to "5_2"."""
        train, queries = _split_lists()
        paths: list[Path] = []
        strangers: list[str] = []
        for path in image_files(folder):
            match = _NAME.fullmatch(path.stem)
            if match is None or int(match["person"]) >= _PERSONS:
                strangers.append(path.name)
                continue
            if match["person"] in train:
                place = "train"
            else:
                place = "query" if path.stem in queries else "gallery"
            if place == split:
                paths.append(path)
        if strangers:
            problems.add(f"{folder}: {list_few(strangers)} not named PERSON_IMAGE.jpg: rename.")
        missing = _CROPS[split] - len(paths)
        if missing > 0:
            problems.add_missing(
                f"{folder}: {missing:,} of {_CROPS[split]:,} crops of the split {split!r} are "
                "missing: add them, or set `accept_missing`."
            )
        stems = [path.stem for path in paths]
        return Crops(
            paths,
            dataset=[self.name] * len(paths),
            person=[stem[:4] for stem in stems],
            camera=[_camera(int(stem[:4]), int(stem[5:])) for stem in stems],
        )


def _camera(person: int, image: int) -> str:
    pair = sum(person >= first for first in _FIRST_OF_PAIR)
    return f"{pair}_{1 if image < 5 else 2}"


@cache
def _split_lists() -> tuple[frozenset[str], frozenset[str]]:
    """Return the training persons, and the names of the queries."""
    text = files("passerby.datasets").joinpath("cuhk03_767_700.txt").read_text("utf-8")
    train, queries = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(train.split()), frozenset(queries.split())

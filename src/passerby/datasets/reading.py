"""Recognising a dataset's layout and reading it."""

from dataclasses import dataclass
from pathlib import Path

from passerby.data.crops import Crops
from passerby.data.decoding import is_image_name
from passerby.datasets.course import is_course, read_course
from passerby.datasets.file_names import image_files
from passerby.datasets.market import is_market, read_market
from passerby.datasets.person_folders import is_person_folders, read_person_folders
from passerby.datasets.plain import plain_crops
from passerby.datasets.problems import Problems
from passerby.errors import InputError

PARTS = ("train", "gallery", "query")


@dataclass(frozen=True)
class Survey:
    """A dataset as far as it can be read, and what is wrong with it."""

    layout: str
    crops: Crops
    problems: list[str]


def read_crops(data: Path | str, part: str = "train") -> Crops:
    """Read a dataset folder, or a single image, of any known layout.

    Args:
        data: the course layout, the official Market-1501 layout, one folder per person, or a
            plain folder of images.
        part: "train", "gallery" or "query"; folders of persons and plain folders have one part
            only, called "train".

    Returns:
        At least one crop.

    Raises:
        InputError: no known layout, or anything wrong with the files or the annotations.
    """
    seen = survey(data, part)
    problems = Problems(seen.problems)
    problems.raise_first()
    return seen.crops


def survey(data: Path | str, part: str = "train") -> Survey:
    """Read as much of a dataset as can be read and list the problems, as `read_crops` would.

    Raises:
        InputError: the folder does not exist or has no known layout.
    """
    folder = Path(data)
    if part not in PARTS:
        raise InputError(f"{part!r} is not a part of a dataset: choose from {', '.join(PARTS)}.")
    if not folder.exists():
        raise InputError(f"{folder} does not exist: give a folder of crops.")
    problems = Problems()
    layout, crops = _read(folder, part, problems)
    if not len(crops) and not problems.found:
        problems.add(f"{folder} has no images in its part {part!r}: add crops.")
    return Survey(layout, crops, problems.found)


def _read(folder: Path, part: str, problems: Problems) -> tuple[str, Crops]:
    if folder.is_file():
        if not is_image_name(folder):
            raise InputError(f"{folder} is not an image: give a JPEG or PNG file, or a folder.")
        return "single image", Crops(paths=(folder,))
    if is_course(folder):
        return "course", read_course(folder, part, problems)
    if is_market(folder):
        return "Market-1501", read_market(folder, part, problems)
    if image_files(folder):
        return "plain images", plain_crops(folder)
    if is_person_folders(folder):
        return "one folder per person", read_person_folders(folder, problems)
    if not any(folder.iterdir()):
        raise InputError(f"{folder} is empty: add crops.")
    raise InputError(
        f"{folder} has no known layout: it needs annotations_train.csv and train/ (course), "
        "bounding_box_train/ (Market-1501), one folder of images per person, or images."
    )

"""A plain folder of images, or one image, of which nothing is known."""

from pathlib import Path

from passerby.data.crops import Crops
from passerby.data.decoding import is_image_name
from passerby.datasets.file_names import image_files, sub_folders
from passerby.datasets.problems import Problems, list_few
from passerby.datasets.unrecognized import has_foreign_layout


class Plain:
    """Images directly in a folder, sorted by name, or a single one."""

    name = "plain"
    title = "plain images"
    layout = "*.jpg"
    terms = ""
    splits = ("train",)
    scored = ("train",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        if folder.is_file():
            return is_image_name(folder)
        return folder.is_dir() and not has_foreign_layout(folder) and bool(image_files(folder))

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        if folder.is_file():
            return Crops([folder])
        if others := [sub.name for sub in sub_folders(folder)]:
            problems.remark(
                f"{folder}: the folder {list_few(others)} in it is passed over: only images "
                "directly in it are read."
            )
        return Crops(image_files(folder))

"""A plain folder of images without annotations."""

from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.file_names import image_files


def plain_crops(folder: Path) -> Crops:
    """Return the images directly in a folder, sorted by name."""
    return Crops(paths=tuple(image_files(folder)))

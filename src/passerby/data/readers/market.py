"""The official Market-1501 layout (Zheng et al., ICCV 2015), attributes by Lin et al. (2019)."""

from pathlib import Path

import numpy as np

from passerby.data.annotations import read_market_mat
from passerby.data.crops import Crops
from passerby.data.problems import Problems
from passerby.data.readers.annotated import annotated_crops
from passerby.data.readers.file_names import named_images
from passerby.data.schema import COURSE

ANNOTATIONS = "market_attribute.mat"
FOLDERS = {"train": "bounding_box_train", "gallery": "bounding_box_test", "query": "query"}


def is_market(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in FOLDERS.values())


def read_market(folder: Path, part: str, problems: Problems) -> Crops:
    """Read one part; attributes come from `market_attribute.mat`, if it is there."""
    images = folder / FOLDERS[part]
    if not images.is_dir():
        problems.add(f"{folder} has no folder {FOLDERS[part]}/: add it.")
        return Crops(paths=())
    paths, persons, cameras = named_images(images, problems)
    annotations = folder / ANNOTATIONS
    if annotations.is_file():
        mat_part = "train" if part == "train" else "test"
        annotated = read_market_mat(annotations, mat_part, COURSE, problems)
        where = f"{annotations} ({mat_part}) and {images}"
        return annotated_crops(paths, persons, cameras, annotated, COURSE, problems, where)
    return Crops(
        paths=tuple(paths),
        persons=np.array(persons, np.int64),
        cameras=np.array(cameras, np.int64),
    )

"""The official Market-1501 layout (Zheng et al., ICCV 2015), attributes by Lin et al. (2019)."""

from pathlib import Path

import numpy as np

from passerby.data.crops import Crops
from passerby.data.schema import MARKET1501_ATTRIBUTES
from passerby.datasets.annotated import join_annotations
from passerby.datasets.annotations import read_market_mat
from passerby.datasets.file_names import read_named_images
from passerby.datasets.problems import Problems

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
    paths, persons, cameras = read_named_images(images, problems)
    annotations = folder / ANNOTATIONS
    if annotations.is_file():
        mat_part = "train" if part == "train" else "test"
        annotated = read_market_mat(annotations, mat_part, MARKET1501_ATTRIBUTES, problems)
        where = f"{annotations} ({mat_part}) and {images}"
        return join_annotations(
            paths, persons, cameras, annotated, MARKET1501_ATTRIBUTES, problems, where
        )
    return Crops(
        paths=tuple(paths),
        persons=np.array(persons, np.int64),
        cameras=np.array(cameras, np.int64),
    )

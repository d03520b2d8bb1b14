"""The course layout: `annotations_train.csv`, `train/`, and optional `test/` and `queries/`."""

from pathlib import Path

from passerby.data.crops import Crops
from passerby.data.schema import MARKET1501_ATTRIBUTES
from passerby.datasets.annotated import join_annotations
from passerby.datasets.annotations import read_annotation_csv
from passerby.datasets.file_names import read_named_images
from passerby.datasets.plain import plain_crops
from passerby.datasets.problems import Problems

ANNOTATIONS = "annotations_train.csv"
FOLDERS = {"train": "train", "gallery": "test", "query": "queries"}


def is_course(folder: Path) -> bool:
    return (folder / ANNOTATIONS).is_file() or (folder / "train").is_dir()


def read_course(folder: Path, part: str, problems: Problems) -> Crops:
    """Read one part; only "train" has persons, cameras and labels."""
    images = folder / FOLDERS[part]
    if not images.is_dir():
        problems.add(f"{folder} has no folder {FOLDERS[part]}/: add it.")
        return Crops(paths=())
    if part != "train":
        return plain_crops(images)
    annotations = folder / ANNOTATIONS
    if not annotations.is_file():
        problems.add(f"{folder} has no {ANNOTATIONS}: add the annotation file.")
        return Crops(paths=())
    annotated = read_annotation_csv(annotations, MARKET1501_ATTRIBUTES, problems)
    paths, persons, cameras = read_named_images(images, problems)
    if not annotated.labels:
        return Crops(paths=tuple(paths))
    where = f"{annotations} and {images}"
    return join_annotations(
        paths, persons, cameras, annotated, MARKET1501_ATTRIBUTES, problems, where
    )

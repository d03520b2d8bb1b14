"""The course layout: `annotations_train.csv`, `train/`, and optional `test/` and `queries/`."""

from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.annotated import join_annotations
from passerby.datasets.file_names import image_files, read_named_images
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES, read_annotation_csv
from passerby.datasets.problems import Problems

ANNOTATIONS = "annotations_train.csv"
_FOLDERS = {"train": "train", "gallery": "test", "query": "queries"}


class Course:
    """Market-1501 as a university course handed it out; drawn crops are written like it."""

    name = "course"
    title = "course"
    layout = f"{ANNOTATIONS}, train/PERSON_cCAMERA_NUMBER.jpg, test/, queries/"
    terms = (
        "The course's crops are Market-1501's (Zheng et al., ICCV 2015), which states no licence: "
        "academic research only; crops of your own in its layout are yours."
    )
    splits = tuple(_FOLDERS)
    scored = ("train",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        if (folder / ANNOTATIONS).is_file():
            return True
        return (folder / "train").is_dir() and bool(image_files(folder / "train"))

    def present(self, folder: Path) -> tuple[str, ...]:
        return tuple(s for s in self.splits if s == "train" or (folder / _FOLDERS[s]).is_dir())

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one split; only "train" has persons, cameras and labels."""
        images = folder / _FOLDERS[split]
        if not images.is_dir():
            problems.add(f"{folder} has no folder {_FOLDERS[split]}/: add it.")
            return Crops(())
        if split != "train":
            paths = image_files(images)
            return Crops(paths, dataset=[self.name] * len(paths))
        annotations = folder / ANNOTATIONS
        if not annotations.is_file():
            problems.add(f"{folder} has no {ANNOTATIONS}: add the annotation file.")
            return Crops(())
        annotated = read_annotation_csv(annotations, problems)
        named = read_named_images(images, problems)
        if not annotated.labels:
            return Crops(named.paths)
        where = f"{annotations} and {images}"
        schema = MARKET1501_ATTRIBUTES
        return join_annotations(named, annotated, schema, problems, dataset=self.name, where=where)

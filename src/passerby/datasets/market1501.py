"""The official Market-1501 layout (Zheng et al., ICCV 2015), attributes by Lin et al. (2019)."""

from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.annotated import join_annotations
from passerby.datasets.file_names import read_named_images
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES, read_market_mat
from passerby.datasets.problems import Problems

ANNOTATIONS = "market_attribute.mat"
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


class Market1501:
    """Market-1501, and others in its layout."""

    name = "market1501"
    title = "Market-1501"
    layout = "bounding_box_train/PERSON_cCAMERA_NUMBER.jpg, query/, bounding_box_test/"
    terms = (
        "No licence is stated (Zheng et al., ICCV 2015; attributes by Lin et al., 2019): "
        "academic research only; crops of your own in its layout are yours."
    )
    splits = tuple(FOLDERS)
    scored = ("query", "gallery")
    protocol = "market"

    def recognizes(self, folder: Path) -> bool:
        # many a folder is called query
        return any((folder / FOLDERS[split]).is_dir() for split in ("train", "gallery"))

    def present(self, folder: Path) -> tuple[str, ...]:
        return tuple(split for split in self.splits if (folder / FOLDERS[split]).is_dir())

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one split; attributes come from `market_attribute.mat`, if it is there."""
        images = folder / FOLDERS[split]
        if not images.is_dir():
            problems.add(f"{folder} has no folder {FOLDERS[split]}/: add it.")
            return Crops(())
        named = read_named_images(images, problems)
        annotations = folder / ANNOTATIONS
        if not annotations.is_file():
            return Crops(
                named.paths,
                dataset=[self.name] * len(named.paths),
                person=named.persons,
                camera=named.cameras,
                role=named.role,
            )
        part = "train" if split == "train" else "test"
        annotated = read_market_mat(annotations, part, problems)
        where = f"{annotations} ({part}) and {images}"
        schema = MARKET1501_ATTRIBUTES
        return join_annotations(named, annotated, schema, problems, dataset=self.name, where=where)

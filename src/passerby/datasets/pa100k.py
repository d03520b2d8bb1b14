"""PA-100K (Liu et al., HydraPlus-Net, ICCV 2017): attributes of single crops, no persons."""

from pathlib import Path

import numpy as np

from passerby.data.crops import Crops
from passerby.data.schema import Attribute, Schema
from passerby.datasets.mat_files import load_mat, texts_in
from passerby.datasets.problems import Problems, list_few
from passerby.errors import InputError

_ANNOTATIONS = "annotation.mat"
_FOLDERS = ("data", "release_data", "release_data/release_data")

PA100K_ATTRIBUTES = Schema(
    (
        Attribute("Female", "female", absent="male"),
        Attribute("AgeOver60", "over 60", "age"),
        Attribute("Age18-60", "18 to 60", "age"),
        Attribute("AgeLess18", "under 18", "age"),
        Attribute("Front", "seen from the front", "view"),
        Attribute("Side", "seen from the side", "view"),
        Attribute("Back", "seen from behind", "view"),
        Attribute("Hat", "hat", absent="no hat"),
        Attribute("Glasses", "glasses", absent="no glasses"),
        Attribute("HandBag", "handbag", absent="no handbag"),
        Attribute("ShoulderBag", "shoulder bag", absent="no shoulder bag"),
        Attribute("Backpack", "backpack", absent="no backpack"),
        Attribute("HoldObjectsInFront", "holds objects in front"),
        Attribute("ShortSleeve", "short sleeve", "sleeve"),
        Attribute("LongSleeve", "long sleeve", "sleeve"),
        Attribute("UpperStride", "striped top"),
        Attribute("UpperLogo", "top with a logo"),
        Attribute("UpperPlaid", "plaid top"),
        Attribute("UpperSplice", "spliced top"),
        Attribute("LowerStripe", "striped bottom"),
        Attribute("LowerPattern", "patterned bottom"),
        Attribute("LongCoat", "long coat"),
        Attribute("Trousers", "trousers"),
        Attribute("Shorts", "shorts"),
        Attribute("Skirt&Dress", "skirt or dress"),
        Attribute("boots", "boots", absent="no boots"),
    ),
    "pa100k",
)


class PA100K:
    """PA-100K as it is handed out, whole or in part."""

    name = "pa100k"
    title = "PA-100K"
    layout = "annotation.mat, data/000001.jpg to data/100000.jpg"
    terms = "CC BY 4.0 (Liu et al., ICCV 2017)."
    splits = ("train", "val", "test")
    scored = ("test",)
    protocol = "attributes"

    def recognizes(self, folder: Path) -> bool:
        return (folder / _ANNOTATIONS).is_file()

    def present(self, folder: Path) -> tuple[str, ...]:
        """Return the splits of which there is an image; all if none can be told."""
        fields = {f"{split}_images_name": split for split in self.splits}
        try:
            names = load_mat(folder / _ANNOTATIONS, tuple(fields))
        except InputError:
            return self.splits
        images = _images_in(folder)
        there = (
            split
            for field, split in fields.items()
            if any((images / name).is_file() for name in texts_in(names[field]))
        )
        return tuple(there) or self.splits

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one split."""
        file = folder / _ANNOTATIONS
        fields = ("attributes", f"{split}_images_name", f"{split}_label")
        try:
            attributes, names, labels = load_mat(file, fields).values()
        except InputError as error:
            problems.add(str(error))
            return Crops(())
        files = list(texts_in(names))
        if tuple(texts_in(attributes)) != PA100K_ATTRIBUTES.names:
            problems.add(f"{file} names other attributes than PA-100K's 26: get the file again.")
            return Crops(())
        try:
            rows = np.array(labels, np.float32).reshape(len(files), len(PA100K_ATTRIBUTES))
        except ValueError:
            problems.add(f"{file}, {split}: not 26 labels for each image: get the file again.")
            return Crops(())
        if not np.isin(rows, (0, 1)).all():
            problems.add(f"{file}, {split}: a label is neither 0 nor 1: get the file again.")
            return Crops(())
        images = _images_in(folder)
        paths = [images / name for name in files]
        there = np.array([path.is_file() for path in paths], np.bool_)
        if not there.all():
            missing = [name for name, found in zip(files, there, strict=True) if not found]
            problems.add_missing(
                f"{images}: {len(missing):,} of {len(files):,} annotated images of the split "
                f"{split!r} are missing ({list_few(missing)})"
            )
        return Crops(
            paths,
            dataset=[self.name] * len(paths),
            labels=rows,
            schema=PA100K_ATTRIBUTES,
        )[there]


def _images_in(folder: Path) -> Path:
    # the deepest one: `release_data` may hold another
    places = [folder / name for name in reversed(_FOLDERS) if (folder / name).is_dir()]
    return places[0] if places else folder / _FOLDERS[0]

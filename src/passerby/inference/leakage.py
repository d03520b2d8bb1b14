"""Which crops a model may be scored and calibrated on: of nobody whom it was trained on.

A model file knows the files that it learned from, by the first 8 bytes of the SHA-256 of their
content: whatever their names and folders are, training crops are recognised. The persons of a
dataset whom such a crop shows are known to the model too, in their other crops.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import read_file
from passerby.datasets.joining import Source
from passerby.errors import InputError
from passerby.inference.model_info import SEEN_NAME, ModelInfo, check_file

Hashes = NDArray[np.uint64]

_NONE = np.empty(0, np.uint64)
_PARTS = ("training", "unlabelled", "calibration")


@dataclass(frozen=True)
class SeenFiles:
    """The files that a model has seen, each by 8 bytes; ascending, uint64.

    Attributes:
        training: whose annotation its weights were learned from.
        unlabelled: that it learned from without annotation.
        calibration: that its thresholds and distances were measured on.
    """

    training: Hashes
    unlabelled: Hashes
    calibration: Hashes

    @classmethod
    def of(
        cls,
        training: Crops | None = None,
        unlabelled: Crops | None = None,
        calibration: Crops | None = None,
    ) -> "SeenFiles":
        """Hash the files of crops; what is left out is none."""
        return cls(
            *(
                _NONE if part is None else np.unique(hash_files(part))
                for part in (training, unlabelled, calibration)
            )
        )

    def after(self, earlier: "SeenFiles") -> "SeenFiles":
        """Return what a model has seen that went on from the weights of an earlier one."""
        return SeenFiles(
            np.union1d(self.training, earlier.training),
            np.union1d(self.unlabelled, earlier.unlabelled),
            self.calibration,
        )

    @classmethod
    def read(cls, folder: Path) -> "SeenFiles":
        """Read what a model file knows; a model that was made elsewhere knows none.

        Raises:
            InputError: the file is damaged.
        """
        path = folder / SEEN_NAME
        if not path.is_file():
            return cls(_NONE, _NONE, _NONE)
        try:
            with np.load(path, allow_pickle=False) as parts:
                found = cls(*(parts[name] for name in _PARTS))
            if any(getattr(found, name).dtype != np.uint64 for name in _PARTS):
                raise ValueError("its values are not 8 bytes each")
        except Exception as error:
            # NumPy and zipfile raise ValueError, KeyError, BadZipFile, EOFError, …
            raise InputError(f"{path} is damaged ({error}): save the model again.") from error
        return found

    def write(self, folder: Path) -> None:
        """Write them into a model file's folder."""
        np.savez(folder / SEEN_NAME, **{name: getattr(self, name) for name in _PARTS})


def read_seen_files(folder: Path, info: ModelInfo) -> SeenFiles:
    """Read what a model file knows, as `SeenFiles.read` does, if it is what `model.json` describes.

    Raises:
        InputError: the file is missing, damaged or another one: what the model was trained on would
            be scored.
    """
    if SEEN_NAME in info.files or (folder / SEEN_NAME).exists():
        check_file(folder, SEEN_NAME, info)
    return SeenFiles.read(folder)


def hash_files(crops: Crops) -> Hashes:
    """Return the first 8 bytes of the SHA-256 of each crop's file, uint64, shape (N,).

    Raises:
        InputError: a file cannot be read.
    """
    if crops.images is not None:
        contents = (np.ascontiguousarray(image).tobytes() for image in crops.images)
    else:
        contents = (read_file(path) for path in crops.paths)
    digests = b"".join(hashlib.sha256(content).digest()[:8] for content in contents)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def check_copies(sources: Sequence[Source]) -> None:
    """Check that no two datasets hold the same picture, under whatever name.

    Raises:
        InputError: two do.
    """
    owner: dict[tuple[int, bytes], tuple[Source, Path]] = {}
    for source in sources:
        boxes = [b""] * len(source.crops) if source.crops.box is None else source.crops.box
        for content, box, path in zip(
            hash_files(source.crops).tolist(), boxes, source.crops.paths, strict=True
        ):
            before = owner.setdefault((content, bytes(box)), (source, path))
            if before[0] is not source:
                raise InputError(
                    f"{before[0].title} and {source.title} hold the same picture, {before[1]} and "
                    f"{path}: give each once, or persons are taken for two."
                )


def find_known_crops(crops: Crops, files: Hashes) -> NDArray[np.bool_]:
    """Tell which crops are among the files, or show a person who is in one of them.

    Returns:
        bool, shape (N,).
    """
    if not len(files):
        return np.zeros(len(crops), np.bool_)
    known = np.isin(hash_files(crops), files)
    if crops.has_persons:
        codes = crops.person_codes
        known |= (codes > 0) & np.isin(codes, codes[known])
    return known


def has_training_crops(crops: Crops, seen: SeenFiles) -> bool:
    """Tell whether a model was trained on some of these crops."""
    return bool(np.isin(hash_files(crops), seen.training).any())


def leave_out_seen(crops: Crops, info: ModelInfo, seen: SeenFiles) -> Crops:
    """Return the crops that a model may be scored on.

    Those that it was trained or calibrated on, and the other crops of their persons, are left out:
    of data that it was trained on a part of, the held-out persons remain. Data that were used for
    calibration alone, none of it for training, are scored whole.

    Raises:
        InputError: nothing remains: the model was trained on all of them.
    """
    trained = find_known_crops(crops, seen.training)
    if not trained.any():
        return crops
    left = ~(trained | find_known_crops(crops, seen.calibration))
    if crops.role is not None:
        left |= crops.role != ""
    if not left.any() or (crops.has_persons and not crops[left].has_persons):
        raise InputError(
            f"The model {info.name} was trained on all of these crops, or on all persons whom "
            "they show: evaluate it on other data, or train with data.held_out_persons."
        )
    return crops[left]


def select_for_calibration(crops: Crops, info: ModelInfo, seen: SeenFiles) -> Crops:
    """Return the crops that a model's distances may be calibrated on.

    Of data that it was trained on a part of, those of the persons kept for calibration, never the
    held-out ones, whom it is evaluated on; of other data all.

    Raises:
        InputError: nobody was kept for calibration.
    """
    trained = find_known_crops(crops, seen.training)
    if not trained.any():
        return crops
    kept = find_known_crops(crops, seen.calibration) & ~trained
    if not kept.any():
        raise InputError(
            f"The model {info.name} kept no training persons to calibrate on: train it with "
            "data.calibration_persons, or give other data."
        )
    return crops[kept]

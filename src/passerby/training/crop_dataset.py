"""Training crops: decoded once, kept in memory when they fit, augmented each time."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from passerby.data.crops import Crops
from passerby.data.decoding import Pixels, decode_all, load_crop, resize
from passerby.training.recipe import AugmentSection
from passerby.training.training_samples import TrainingSamples

_SHARE_OF_MEMORY = 0.5
"""Decoded crops may take this share of the memory that is free, those of all processes together."""

_ERASING = v2.RandomErasing(1.0, scale=(0.02, 0.4), ratio=(0.3, 3.3))
"""With the sizes of Zhong et al., "Random Erasing Data Augmentation", AAAI 2020."""


class TrainingBatch(NamedTuple):
    """N training crops, augmented, with what is to be learned about them.

    Attributes:
        pixels: uint8, shape (N, 3, height, width).
        labels: probability of each attribute, float32, shape (N, attributes); NaN where
            unknown; (N, 0) without annotation.
        persons: rows of the training persons, -1 where unknown, int64, shape (N,).
        sets: places of the datasets, int64, shape (N,).
        erased: whether a rectangle was erased, bool, shape (N,).
    """

    pixels: Tensor
    labels: Tensor
    persons: Tensor
    sets: Tensor
    erased: Tensor


class CropDataset(Dataset[TrainingBatch]):
    """Crops with what is to be learned about them.

    An item is a `TrainingBatch` of one crop, without the first axis; the loader stacks them.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        size: tuple[int, int],
        augment: AugmentSection,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Decode the crops if they fit into memory.

        Args:
            samples: the crops.
            size: (height, width) that the network takes.
            augment: of the recipe.
            progress: called with (crops decoded, all crops).

        Raises:
            InputError: a crop cannot be decoded.
        """
        self._crops = samples.crops
        self._size = size
        self._labels = torch.from_numpy(samples.attributes)
        self._persons = torch.from_numpy(samples.persons)
        self._sets = torch.from_numpy(samples.sets)
        self._augment = _augmentation(augment, size)
        self._erase = augment.random_erasing
        self._cache = _decode_if_it_fits(samples.crops, size, progress)

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, row: int) -> TrainingBatch:
        pixels = self._augment(torch.tensor(self._pixels(row)).permute(2, 0, 1))
        erased = torch.rand(()) < self._erase
        if erased:
            pixels = _ERASING(pixels)
        return TrainingBatch(pixels, self._labels[row], self._persons[row], self._sets[row], erased)

    def _pixels(self, row: int) -> Pixels:
        if self._cache is not None:
            return self._cache[row]
        return resize(load_crop(self._crops, row), self._size)


def _decode_if_it_fits(
    crops: Crops,
    size: tuple[int, int],
    progress: Callable[[int, int], None] | None,
) -> Pixels | None:
    shape = (len(crops), *size, 3)
    # torchrun says so; each process keeps all crops
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes * np.prod(shape) > _SHARE_OF_MEMORY * psutil.virtual_memory().available:
        return None
    cache = np.empty(shape, np.uint8)
    for row, pixels in enumerate(decode_all(crops, size)):
        cache[row] = pixels
        if progress:
            progress(row + 1, len(crops))
    return cache


def _augmentation(augment: AugmentSection, size: tuple[int, int]) -> v2.Transform:
    height, width = size
    padding = [round(width * augment.shift), round(height * augment.shift)]
    transforms: list[v2.Transform] = [
        v2.RandomCrop(size, padding=padding),
        v2.RandomHorizontalFlip(augment.flip),
    ]
    colours = (augment.brightness, augment.contrast, augment.saturation, augment.hue)
    if any(colours):
        transforms.append(v2.ColorJitter(*colours))
    if augment.grayscale:
        transforms.append(v2.RandomGrayscale(augment.grayscale))
    if augment.resolution:
        transforms.append(v2.RandomApply([LowerResolution(size)], augment.resolution))
    if augment.blur:
        transforms.append(v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], augment.blur))
    return v2.Compose(transforms)


class LowerResolution(v2.Transform):  # type: ignore[misc]
    """Scale a crop down and up again, as if it had been taken from farther away.

    It keeps a fraction of height and width that is drawn evenly from 0.3 to 0.9.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = list(size)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        share = 0.3 + 0.6 * float(torch.rand(()))
        return {"size": [max(1, round(side * share)) for side in self._size]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return functional.resize(functional.resize(inpt, params["size"]), self._size)

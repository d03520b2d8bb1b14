from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from passerby.data.decoding import decode, resize
from passerby.datasets import read_crops
from passerby.training.crop_dataset import CropDataset
from passerby.training.recipe import AugmentSection
from passerby.training.training_samples import TrainingSamples

PLAIN = AugmentSection(flip=0, shift=0)


def test_without_augmentation_the_pixels_are_the_crops(toy_data: Path) -> None:
    crops = read_crops(toy_data)[:8]
    dataset = CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN)
    assert crops.labels is not None
    for row, path in enumerate(crops.paths):
        pixels, labels, person, _, erased = dataset[row]
        expected = resize(decode(path), (64, 32))
        np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), expected)
        np.testing.assert_array_equal(labels.numpy(), crops.labels[row])
        assert int(person) == crops.person_codes[row] - 1
        assert not erased


def test_crops_that_do_not_fit_are_decoded_each_time(
    toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = read_crops(toy_data)[:4]
    cached = CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN)
    full = psutil.virtual_memory()._replace(available=10)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: full)
    told: list[int] = []
    uncached = CropDataset(
        TrainingSamples.of(crops), (64, 32), PLAIN, lambda done, _: told.append(done)
    )
    assert told == []
    for row in range(4):
        assert torch.equal(cached[row][0], uncached[row][0])


@pytest.mark.parametrize(("processes", "cached"), [("1", True), ("2", True), ("3", False)])
def test_processes_share_the_memory(
    toy_data: Path, monkeypatch: pytest.MonkeyPatch, processes: str, cached: bool
) -> None:
    """Half of what is free holds the four crops twice."""
    crops = read_crops(toy_data)[:4]
    free = psutil.virtual_memory()._replace(available=4 * (4 * 64 * 32 * 3))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    told: list[int] = []
    CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN, lambda done, _: told.append(done))
    assert bool(told) == cached


def test_flipping(toy_data: Path) -> None:
    crops = read_crops(toy_data)[:1]
    straight = CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN)[0][0]
    flipped = CropDataset(TrainingSamples.of(crops), (64, 32), AugmentSection(flip=1, shift=0))[0][
        0
    ]
    assert torch.equal(flipped, straight.flip(2))


def test_every_augmentation_changes_the_crop_and_keeps_its_shape(toy_data: Path) -> None:
    crops = read_crops(toy_data)[:1]
    straight = CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN)[0][0]
    torch.manual_seed(1)
    for change in ("shift", "random_erasing", "brightness", "contrast", "saturation"):
        section = PLAIN.model_copy(update={change: 0.9})
        pixels = CropDataset(TrainingSamples.of(crops), (64, 32), section)[0][0]
        assert pixels.shape == straight.shape
        assert pixels.dtype == torch.uint8
        assert not torch.equal(pixels, straight), change


def test_erased_crops_say_so(toy_data: Path) -> None:
    crops = read_crops(toy_data)[:1]
    straight = CropDataset(TrainingSamples.of(crops), (64, 32), PLAIN)[0].pixels
    dataset = CropDataset(
        TrainingSamples.of(crops), (64, 32), PLAIN.model_copy(update={"random_erasing": 0.5})
    )
    torch.manual_seed(0)
    items = [dataset[0] for _ in range(30)]
    assert {bool(item.erased) for item in items} == {False, True}
    assert all(torch.equal(item.pixels, straight) != item.erased for item in items)

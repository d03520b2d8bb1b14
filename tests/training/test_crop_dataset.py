from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from passerby.data.decoding import decode, resize
from passerby.datasets import read_crops
from passerby.training.crop_dataset import CropDataset, LowerResolution
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


def test_a_lower_resolution_blurs_details_alone() -> None:
    torch.manual_seed(0)
    lower = LowerResolution((64, 32))
    plain = torch.full((3, 64, 32), 90, dtype=torch.uint8)
    assert torch.equal(lower(plain), plain)
    fine = torch.zeros(3, 64, 32, dtype=torch.uint8)
    fine[:, ::2] = 200
    coarse = lower(fine)
    assert (coarse.shape, coarse.dtype) == (fine.shape, torch.uint8)
    assert coarse.float().std() < 0.7 * fine.float().std()
    assert abs(coarse.float().mean() - 100) < 5


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"grayscale": 1.0}, "nothing but lightness"),
        ({"hue": 0.5}, "lightness, other colours"),
        ({"blur": 1.0}, "colours, fewer details"),
    ],
)
def test_colours_and_details_are_varied(toy_data: Path, changes: dict, kept: str) -> None:
    torch.manual_seed(1)
    crops = read_crops(toy_data)[:4]
    samples = TrainingSamples.of(crops)
    before = CropDataset(samples, (64, 32), PLAIN)
    after = CropDataset(samples, (64, 32), PLAIN.model_copy(update=changes))
    for row in range(4):
        old, new = before[row].pixels.float(), after[row].pixels.float()
        assert not torch.equal(old, new)
        colour_old, colour_new = (p.std(dim=0).mean() for p in (old, new))
        detail_old, detail_new = (p.diff(dim=2).abs().mean() for p in (old, new))
        if kept == "nothing but lightness":
            assert colour_new == 0
        elif kept == "colours, fewer details":
            assert detail_new < detail_old
            assert abs(colour_new - colour_old) < 0.2 * colour_old + 1
        else:
            assert not torch.allclose(old.mean(dim=(1, 2)), new.mean(dim=(1, 2)), atol=1)

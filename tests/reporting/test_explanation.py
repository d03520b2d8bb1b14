from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.reporting.explanation import _enlarged, write_explanation
from passerby.toy import toy_images


def test_cells_are_enlarged_around_their_centres() -> None:
    """Two cells over four pixels: centres of the cells at 0.5 and 2.5 of the pixels' 0 … 3."""
    found = _enlarged(np.array([[0.0, 1.0]], np.float32), (2, 4))
    np.testing.assert_allclose(found, [[0, 0.25, 0.75, 1]] * 2)


def test_what_speaks_for_an_attribute_is_marked(tmp_path: Path) -> None:
    crop = np.full((64, 32, 3), 40, np.uint8)
    maps = np.zeros((32, 2, 1), np.float32)
    maps[MARKET1501_ATTRIBUTES.index("hat"), 0] = 1
    arguments = (
        crop,
        MARKET1501_ATTRIBUTES,
        np.full(32, 0.5, np.float32),
        np.zeros(32, bool),
        maps,
    )
    write_explanation(tmp_path / "hat.png", *arguments, shown=["hat", "bag"])
    picture = np.asarray(Image.open(tmp_path / "hat.png").convert("RGB")).astype(int)
    third = picture.shape[1] // 3
    plain, hat, bag = (picture[:, i * third : (i + 1) * third] for i in range(3))

    def colourful(part: np.ndarray) -> float:
        return float(((part.max(axis=2) - part.min(axis=2)) > 60).mean())

    assert colourful(hat) > 0.1
    assert colourful(plain) == colourful(bag) == 0
    upper, lower = np.array_split(hat, 2)
    assert colourful(upper) > 3 * colourful(lower)


def test_all_attributes_by_default(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).random((32, 4, 2)).astype(np.float32)
    values = np.linspace(0, 1, 32).astype(np.float32)
    crop = toy_images(1)[0]
    write_explanation(
        tmp_path / "macro.png", crop, MARKET1501_ATTRIBUTES, values, values > 0.5, maps
    )
    width, height = Image.open(tmp_path / "macro.png").size
    assert width > 1000
    assert height > 500


def test_an_unknown_attribute(tmp_path: Path) -> None:
    maps = np.zeros((32, 2, 1), np.float32)
    crop = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="'helmet' is not an attribute"):
        write_explanation(
            tmp_path / "x.png",
            crop,
            MARKET1501_ATTRIBUTES,
            maps[:, 0, 0],
            maps[:, 0, 0] > 0,
            maps,
            ["helmet"],
        )
    assert not list(tmp_path.iterdir())

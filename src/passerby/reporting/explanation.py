"""A picture of where in a crop a model found each attribute."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.decoding import Pixels, resize
from passerby.data.schema import Schema
from passerby.files import replacing

_COLUMNS = 11
_TILE = 1.15
"""Width of a crop in inches."""

_LARGEST = 512
"""Rows of a crop; more would not be seen."""

_STRONGEST = 0.65
"""Opacity where a map is highest; the crop stays visible."""


def write_explanation(
    target: Path,
    crop: Pixels,
    schema: Schema,
    probabilities: NDArray[np.float32],
    present: NDArray[np.bool_],
    maps: NDArray[np.float32],
    shown: Sequence[str] | None = None,
) -> None:
    """Draw the crop, and once more for each attribute with the places that speak for it.

    Each map is scaled by its own highest value; an attribute that nothing speaks for shows none.

    Args:
        target: the picture, PNG, whole or not at all.
        crop: RGB, uint8, shape (height, width, 3).
        schema: names the attributes.
        probabilities: shape (attributes,).
        present: which attributes the model's decision says are there, shape (attributes,); their
            names are bold.
        maps: not negative, shape (attributes, rows, columns).
        shown: names of the attributes to draw; all if left out.

    Raises:
        InputError: an attribute is unknown, or the place cannot be written to.
    """
    from matplotlib.figure import Figure

    crop = _at_most(crop, _LARGEST)
    chosen = [schema.index(name) for name in (schema.names if shown is None else shown)]
    columns = min(_COLUMNS, len(chosen) + 1)
    rows = math.ceil((len(chosen) + 1) / columns)
    height, width = crop.shape[:2]
    size = columns * _TILE * 1.1, rows * (_TILE * height / width + 0.35)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    tiles = figure.subplots(rows, columns, squeeze=False).ravel()
    for tile in tiles:
        tile.set_axis_off()
    tiles[0].imshow(crop)
    tiles[0].set_title("the crop", fontsize=8)
    for tile, place in zip(tiles[1:], chosen, strict=False):
        tile.imshow(crop)
        strength = maps[place] / max(float(maps[place].max()), 1e-12)
        enlarged = _enlarged(strength, (height, width))
        tile.imshow(enlarged, cmap="inferno", alpha=enlarged * _STRONGEST)
        weight = "bold" if present[place] else "normal"
        title = f"{schema.phrases[place]}\n{probabilities[place]:.2f}"
        tile.set_title(title, fontsize=7, fontweight=weight)
    with replacing(target) as draft:
        figure.savefig(draft, format="png")


def _at_most(crop: Pixels, height: int) -> Pixels:
    if len(crop) <= height:
        return crop
    return resize(crop, (height, max(1, round(crop.shape[1] * height / len(crop)))))


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map at the crop's size, interpolated between the centres of its cells."""
    for axis, count in enumerate(size):
        cells = values.shape[axis]
        places = (np.arange(count) + 0.5) * cells / count - 0.5
        low = np.clip(np.floor(places).astype(int), 0, cells - 1)
        high = np.clip(low + 1, 0, cells - 1)
        share = np.clip(places - low, 0, 1).astype(np.float32)
        share = share.reshape((-1, 1) if axis == 0 else (1, -1))
        below, above = values.take(low, axis), values.take(high, axis)
        values = (1 - share) * below + share * above
    return values

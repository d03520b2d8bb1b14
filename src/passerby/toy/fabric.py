"""What a garment is made of: one colour, or a pattern of two."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.toy.palette import RGB, darker

Weave = Literal["plain", "stripes", "bars", "checks", "halves"]


@dataclass(frozen=True)
class Fabric:
    """A garment's material.

    Attributes:
        name: the colour's name, or `multicolor` for a pattern.
        weave: plain, horizontal stripes, vertical bars, checks, or two halves.
        colours: the main colour and the pattern's second colour (equal when plain).
        period: length of one repeat of the pattern, as a share of the person's height.
        phase: where the pattern starts, 0 to 1 of a repeat.
    """

    name: str
    weave: Weave
    colours: tuple[RGB, RGB]
    period: float = 0.08
    phase: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether the fabric has one colour only."""
        return self.weave == "plain"


def pattern(
    fabric: Fabric,
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    split: float,
    light: float = 1.0,
) -> Image.Image:
    """Paint a patterned fabric, as large as the sheet from which a garment is cut.

    Args:
        fabric: the garment's material.
        across: (W,) each pixel column's place in units of the person's height.
        down: (H,) each pixel row's place in the same units, growing downwards.
        split: the height at which fabric in two halves changes colour.
        light: below 1 for the side of the body that lies in shadow.

    Returns:
        An RGB image of W times H pixels.
    """
    first, second = (np.array(darker(colour, light), np.uint8) for colour in fabric.colours)
    is_second = _second_colour(fabric, across[None, :], down[:, None], split)
    is_second = np.broadcast_to(is_second, (len(down), len(across)))
    return Image.fromarray(np.where(is_second[..., None], second, first))


def _second_colour(
    fabric: Fabric, columns: NDArray[np.float64], rows: NDArray[np.float64], split: float
) -> NDArray[np.bool_]:
    if fabric.weave == "halves":
        return rows > split
    if fabric.weave == "stripes":
        return _alternate(rows, fabric)
    if fabric.weave == "bars":
        return _alternate(columns, fabric)
    return _alternate(rows, fabric) ^ _alternate(columns, fabric)


def _alternate(places: NDArray[np.float64], fabric: Fabric) -> NDArray[np.bool_]:
    return np.less((places / fabric.period + fabric.phase) % 1.0, 0.5)

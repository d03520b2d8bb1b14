"""A transparent sheet to draw a figure on, measured in the figure's own height."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from passerby.toy.fabric import Fabric, pattern
from passerby.toy.palette import RGB, darker

CROP_WIDTH, CROP_HEIGHT = 64, 128
OVERSAMPLING = 2
_SHEET = (CROP_WIDTH * OVERSAMPLING, CROP_HEIGHT * OVERSAMPLING)
_CAP_STEPS = tuple(math.pi * step / 5 for step in range(6))

Point = tuple[float, float]
Ink = RGB | Image.Image


@dataclass(frozen=True)
class Framing:
    """Where the detector's box puts the figure, in pixels of the finished crop.

    Attributes:
        height: height of the whole figure.
        centre: column of the figure's axis.
        top: row of the top of the head.
    """

    height: float = 116.0
    centre: float = 32.0
    top: float = 6.0

    @property
    def ground(self) -> float:
        """Row on which the figure stands; it may lie below the crop."""
        return self.top + self.height


class Canvas:
    """Draws shapes given in body units: x from the body's axis, y down from the top of the head.

    A mirrored canvas turns everything drawn on it, patterns included, to the other side.
    """

    def __init__(self, framing: Framing, mirrored: bool = False) -> None:
        self._image = Image.new("RGBA", _SHEET)
        self._draw = ImageDraw.Draw(self._image)
        self._scale = framing.height * OVERSAMPLING
        self._flip = -1.0 if mirrored else 1.0
        self._left = framing.centre * OVERSAMPLING
        self._top = framing.top * OVERSAMPLING

    def finished(self) -> Image.Image:
        """Return the figure at crop size, RGBA, with soft edges."""
        return self._image.reduce(OVERSAMPLING)

    def ink(self, fabric: Fabric, split: float, light: float = 1.0) -> Ink:
        """Return what to draw a garment with; fabric in two halves changes colour at `split`."""
        if fabric.plain:
            return darker(fabric.colours[0], light)
        columns = np.arange(_SHEET[0], dtype=np.float64)
        rows = np.arange(_SHEET[1], dtype=np.float64)
        across = self._flip * (columns - self._left) / self._scale
        return pattern(fabric, across, (rows - self._top) / self._scale, split, light)

    def polygon(self, corners: Sequence[Point], ink: Ink) -> None:
        """Fill a shape with straight edges."""
        self._fill([self._pixel(corner) for corner in corners], ink)

    def blob(self, corners: Sequence[Point], ink: Ink) -> None:
        """Fill a shape whose corners are cut off, so that it looks rounded."""
        pixels = [self._pixel(corner) for corner in corners]
        rounded: list[Point] = []
        for (ax, ay), (bx, by) in zip(pixels, pixels[1:] + pixels[:1], strict=True):
            rounded.append((0.75 * ax + 0.25 * bx, 0.75 * ay + 0.25 * by))
            rounded.append((0.25 * ax + 0.75 * bx, 0.25 * ay + 0.75 * by))
        self._fill(rounded, ink)

    def limb(self, start: Point, end: Point, thick: float, thin: float, ink: Ink) -> None:
        """Fill a tapered bar with round ends; `thick` and `thin` are its half-widths."""
        (ax, ay), (bx, by) = self._pixel(start), self._pixel(end)
        along = math.atan2(by - ay, bx - ax)
        outline = [
            (x + radius * math.cos(angle), y + radius * math.sin(angle))
            for x, y, radius, first in (
                (ax, ay, thick * self._scale, along + math.pi / 2),
                (bx, by, thin * self._scale, along - math.pi / 2),
            )
            for angle in (first + step for step in _CAP_STEPS)
        ]
        self._fill(outline, ink)

    def oval(self, centre: Point, across: float, down: float, colour: RGB) -> None:
        """Fill an upright ellipse with the given half-axes."""
        x, y = self._pixel(centre)
        half_width, half_height = across * self._scale, down * self._scale
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self._draw.ellipse(box, fill=colour)

    def stroke(self, points: Sequence[Point], width: float, colour: RGB) -> None:
        """Draw a line of the given width through the points."""
        pixels = [self._pixel(point) for point in points]
        thickness = max(1, round(width * self._scale))
        self._draw.line(pixels, fill=colour, width=thickness, joint="curve")

    def _pixel(self, point: Point) -> Point:
        x, y = point
        return self._left + self._flip * x * self._scale, self._top + y * self._scale

    def _fill(self, pixels: list[Point], ink: Ink) -> None:
        if isinstance(ink, Image.Image):
            mask = Image.new("L", _SHEET)
            ImageDraw.Draw(mask).polygon(pixels, fill=255)
            self._image.paste(ink, mask=mask)
        else:
            self._draw.polygon(pixels, fill=ink)

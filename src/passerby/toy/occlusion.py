"""Things that stand or walk between the camera and a person."""

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from passerby.toy.body import draw_figure
from passerby.toy.canvas import CROP_HEIGHT, CROP_WIDTH, Framing
from passerby.toy.palette import RGB, darker, jitter
from passerby.toy.population import passer_by
from passerby.toy.pose import VIEWS, Pose
from passerby.toy.rng import between, one_of

Occluder = Literal["pole", "passer-by", "bench"]

_METAL: tuple[RGB, ...] = ((86, 90, 94), (58, 62, 60), (150, 150, 146), (96, 72, 52))
_WOOD: RGB = (128, 88, 54)


def put_in_front(crop: Image.Image, occluder: Occluder, rng: np.random.Generator) -> None:
    """Draw an occluder over an RGB crop of 64 times 128 pixels, in place."""
    if occluder == "pole":
        _pole(ImageDraw.Draw(crop), rng)
    elif occluder == "bench":
        _bench(ImageDraw.Draw(crop), rng)
    else:
        _passer_by(crop, rng)


def _pole(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour = jitter(one_of(rng, _METAL), rng)
    left, width = between(rng, 8, 50), between(rng, 4, 8)
    draw.rectangle((left, 0, left + width, CROP_HEIGHT), fill=colour)
    draw.rectangle((left + width * 0.65, 0, left + width, CROP_HEIGHT), fill=darker(colour))


def _bench(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    wood = jitter(_WOOD, rng, 15)
    left, top = between(rng, -20, 12), between(rng, 86, 100)
    right = left + 68
    for leg in (left + 5, right - 8):
        draw.rectangle((leg, top, leg + 3, CROP_HEIGHT), fill=darker(_METAL[1], 0.8))
    for slat in range(3):
        y = top + slat * 6
        draw.rectangle((left, y, right, y + 4), fill=darker(wood, 1.0 - 0.12 * slat))


def _passer_by(crop: Image.Image, rng: np.random.Generator) -> None:
    edge = one_of(rng, (-1, 1))
    centre = CROP_WIDTH / 2 + edge * between(rng, 27, 34)
    framing = Framing(between(rng, 118, 150), centre, between(rng, -6, 14))
    pose = Pose(one_of(rng, VIEWS), between(rng, 0, 6.28), between(rng, 0.1, 0.5))
    figure = draw_figure(passer_by(rng), pose, framing)
    crop.paste(figure, mask=figure.getchannel("A"))

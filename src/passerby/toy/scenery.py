"""Paints the place that a camera looks at: a ground and what stands behind it."""

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from passerby.toy.palette import RGB, darker, jitter, mix
from passerby.toy.rng import between, one_of, source

Ground = Literal["pavement", "grass", "asphalt"]
Backdrop = Literal["wall", "hedge", "shop"]

SCENE_WIDTH, SCENE_HEIGHT = 320, 160
_HORIZON = 76
_SCENE_STREAM = 11

_GROUND_COLOURS: dict[Ground, RGB] = {
    "pavement": (172, 164, 150),
    "grass": (104, 132, 72),
    "asphalt": (112, 114, 120),
}
_BACKDROP_COLOURS: dict[Backdrop, RGB] = {
    "wall": (158, 108, 84),
    "hedge": (62, 88, 48),
    "shop": (150, 150, 146),
}


def paint_scene(number: int, ground: Ground, backdrop: Backdrop) -> Image.Image:
    """Paint a scene wide enough to cut many different crops from it.

    Args:
        number: chooses the scene's details; the same number paints the same scene.
        ground: what people walk on.
        backdrop: what stands behind them.

    Returns:
        An RGB image of 320 times 160 pixels.
    """
    rng = source(number, _SCENE_STREAM)
    scene = Image.new("RGB", (SCENE_WIDTH, SCENE_HEIGHT), _BACKDROP_COLOURS[backdrop])
    draw = ImageDraw.Draw(scene)
    {"wall": _wall, "hedge": _hedge, "shop": _shop}[backdrop](draw, rng)
    colour = _GROUND_COLOURS[ground]
    draw.rectangle((0, _HORIZON, SCENE_WIDTH, SCENE_HEIGHT), fill=colour)
    {"pavement": _pavement, "grass": _grass, "asphalt": _asphalt}[ground](draw, rng)
    draw.line((0, _HORIZON, SCENE_WIDTH, _HORIZON), fill=darker(colour, 0.6), width=2)
    return _roughened(scene.filter(ImageFilter.BoxBlur(0.6)), rng)


def _wall(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    brick = _BACKDROP_COLOURS["wall"]
    for row, top in enumerate(range(0, _HORIZON, 8)):
        for left in range(-(row % 2) * 9, SCENE_WIDTH, 18):
            box = (left, top, left + 16, top + 6)
            draw.rectangle(box, fill=darker(jitter(brick, rng, 10), between(rng, 0.85, 1.08)))


def _hedge(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, SCENE_WIDTH, 18), fill=(176, 190, 200))
    leaf = _BACKDROP_COLOURS["hedge"]
    for _ in range(700):
        x, y = between(rng, 0, SCENE_WIDTH), between(rng, 14, _HORIZON)
        size = between(rng, 2, 7)
        box = (x - size, y - size * 0.7, x + size, y + size * 0.7)
        draw.ellipse(box, fill=darker(jitter(leaf, rng, 12), between(rng, 0.6, 1.25)))


def _shop(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    facade = _BACKDROP_COLOURS["shop"]
    for left in range(0, SCENE_WIDTH, 54):
        glass = mix((70, 84, 98), (150, 164, 172), rng.random())
        draw.rectangle((left + 5, 14, left + 46, _HORIZON - 8), fill=glass)
        draw.polygon(
            [(left + 10, _HORIZON - 10), (left + 30, 16), (left + 38, 16), (left + 18, 66)],
            fill=mix(glass, (255, 255, 255), 0.2),
        )
        draw.line((left + 26, 14, left + 26, _HORIZON - 8), fill=darker(facade, 0.5), width=2)
        awning = one_of(rng, ((150, 60, 50), (60, 90, 120), (90, 90, 90), (190, 170, 120)))
        draw.rectangle((left, 4, left + 50, 14), fill=awning)


def _pavement(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour = _GROUND_COLOURS["pavement"]
    rows = [_HORIZON + step * step * 1.3 for step in range(1, 9)]
    for row in rows:
        draw.line((0, row, SCENE_WIDTH, row), fill=darker(colour, 0.84))
    for left in range(-480, 800, 32):
        far = SCENE_WIDTH / 2 + (left - SCENE_WIDTH / 2) * 0.5
        draw.line((far, _HORIZON, left, SCENE_HEIGHT), fill=darker(colour, 0.84))
    for _ in range(16):
        x, y = between(rng, 0, SCENE_WIDTH), between(rng, _HORIZON + 6, SCENE_HEIGHT)
        box = (x, y, x + between(rng, 2, 14), y + between(rng, 1, 4))
        draw.ellipse(box, fill=darker(colour, between(rng, 0.75, 1.1)))


def _grass(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour = _GROUND_COLOURS["grass"]
    for _ in range(900):
        x, y = between(rng, 0, SCENE_WIDTH), between(rng, _HORIZON, SCENE_HEIGHT)
        blade = (x, y, x + between(rng, -2, 2), y - between(rng, 2, 6))
        draw.line(blade, fill=darker(jitter(colour, rng, 10), between(rng, 0.72, 1.2)))
    path = [(60, SCENE_HEIGHT), (150, SCENE_HEIGHT), (210, _HORIZON), (190, _HORIZON)]
    draw.polygon(path, fill=(164, 150, 124))


def _asphalt(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour = _GROUND_COLOURS["asphalt"]
    kerb = (0, _HORIZON + 2, SCENE_WIDTH, _HORIZON + 8)
    draw.rectangle(kerb, fill=(170, 168, 162))
    for left in range(0, SCENE_WIDTH, 60):
        corners = [(left, 132), (left + 34, 132), (left + 30, 138), (left - 6, 138)]
        draw.polygon(corners, fill=(206, 204, 194))
    for _ in range(24):
        x, y = between(rng, 0, SCENE_WIDTH), between(rng, _HORIZON + 10, SCENE_HEIGHT)
        box = (x, y, x + between(rng, 4, 26), y + between(rng, 1, 5))
        draw.ellipse(box, fill=darker(colour, between(rng, 0.85, 1.08)))


def _roughened(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    grain = (rng.random((SCENE_HEIGHT, SCENE_WIDTH, 1)) - 0.5) * 14
    return Image.fromarray(np.clip(np.rint(np.asarray(scene) + grain), 0, 255).astype(np.uint8))

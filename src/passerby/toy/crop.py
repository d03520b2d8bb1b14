"""Puts person, place and camera together into one crop."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from passerby.errors import InputError
from passerby.toy.appearance import Appearance
from passerby.toy.body import draw_figure
from passerby.toy.camera import CAMERAS, Camera, camera_number
from passerby.toy.canvas import CROP_HEIGHT, CROP_WIDTH, Framing
from passerby.toy.occlusion import Occluder, put_in_front
from passerby.toy.population import person_number
from passerby.toy.pose import Pose, View
from passerby.toy.rng import between, happens, source, weighted
from passerby.toy.scenery import SCENE_HEIGHT, SCENE_WIDTH

_CROP_STREAM, _EMPTY_STREAM = 21, 22
_VIEWS: dict[View, float] = {"front": 0.3, "back": 0.3, "left": 0.2, "right": 0.2}
_HINDRANCES: dict[Occluder | None, float] = {
    None: 0.885, "pole": 0.04, "passer-by": 0.045, "bench": 0.03,
}  # fmt: skip
_CUT_OFF = 0.04
_SHADING = [150 + round(level * 105 / 255) for level in range(256)]


def render_crop(person: Appearance, camera: int, seed: int) -> NDArray[np.uint8]:
    """Render one crop of a person as a camera records it.

    View, moment of the walk, framing, exposure, occlusion and noise follow from the seed.

    Args:
        person: whom to draw.
        camera: 1 to 6.
        seed: 0 or more; the same arguments give the same pixels.

    Returns:
        (128, 64, 3) uint8, RGB.

    Raises:
        InputError: the camera does not exist, or the seed is negative.
    """
    device = camera_number(camera)
    _check_seed(seed)
    rng = source(seed, _CROP_STREAM, camera)
    pose = Pose(weighted(rng, _VIEWS), between(rng, 0, 2 * math.pi), between(rng, 0.12, 0.5))
    framing = _framing(rng)
    crop = _place(device, rng)
    _add_shadow(crop, framing, rng)
    figure = draw_figure(person, pose, framing)
    crop.paste(_rounded(figure), mask=figure.getchannel("A"))
    hindrance = weighted(rng, _HINDRANCES)
    if hindrance is not None:
        put_in_front(crop, hindrance, rng)
    return device.capture(crop, between(rng, 0.84, 1.14), rng)


def render_distractor(camera: int, seed: int) -> NDArray[np.uint8]:
    """Render a wrong detection: a crop of the camera's place with no pedestrian in it.

    Args:
        camera: 1 to 6.
        seed: 0 or more; the same arguments give the same pixels.

    Returns:
        (128, 64, 3) uint8, RGB.

    Raises:
        InputError: the camera does not exist, or the seed is negative.
    """
    device = camera_number(camera)
    _check_seed(seed)
    rng = source(seed, _EMPTY_STREAM, camera)
    crop = _place(device, rng)
    if happens(rng, 0.5):
        put_in_front(crop, "pole" if happens(rng, 0.5) else "bench", rng)
    return device.capture(crop, between(rng, 0.84, 1.14), rng)


def toy_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Render crops that all show different persons, the six cameras in turn.

    Args:
        count: how many crops, 0 or more.
        seed: 0 or more; a larger count begins with the crops of a smaller one.

    Returns:
        (count, 128, 64, 3) uint8, RGB.

    Raises:
        InputError: the count or the seed is negative.
    """
    if count < 0:
        raise InputError(f"The number of toy images is {count}: give 0 or more.")
    _check_seed(seed)
    images = np.empty((count, CROP_HEIGHT, CROP_WIDTH, 3), np.uint8)
    for index in range(count):
        person = person_number(index, seed)
        images[index] = render_crop(person, index % len(CAMERAS) + 1, seed + index)
    return images


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"The seed of the toy images is {seed}: give 0 or a larger number.")


def _framing(rng: np.random.Generator) -> Framing:
    """An imperfect detector's box: now and then it loses the feet."""
    cut_off = happens(rng, _CUT_OFF)
    height = between(rng, 140, 170) if cut_off else between(rng, 108, 120)
    spare = CROP_HEIGHT - min(height, 122.0)
    top = between(rng, 0, 8) if cut_off else spare / 2 + between(rng, -4, 4)
    return Framing(height, CROP_WIDTH / 2 + between(rng, -5, 5), top)


def _place(camera: Camera, rng: np.random.Generator) -> Image.Image:
    left = int(between(rng, 0, SCENE_WIDTH - CROP_WIDTH + 1))
    top = int(between(rng, 0, SCENE_HEIGHT - CROP_HEIGHT + 1))
    return camera.scene.crop((left, top, left + CROP_WIDTH, top + CROP_HEIGHT))


def _add_shadow(crop: Image.Image, framing: Framing, rng: np.random.Generator) -> None:
    mask = Image.new("L", crop.size)
    x, y = framing.centre + between(rng, -4, 4), framing.ground - 2
    ImageDraw.Draw(mask).ellipse((x - 19, y - 4, x + 19, y + 4), fill=95)
    crop.paste((0, 0, 0), mask=mask.filter(ImageFilter.BoxBlur(2)))


def _rounded(figure: Image.Image) -> Image.Image:
    """Darken the figure towards its right and lower edge, as light from the upper left does."""
    inside = ImageChops.offset(figure.getchannel("A").filter(ImageFilter.BoxBlur(3)), -1, -1)
    light = inside.point(_SHADING)
    return ImageChops.multiply(figure.convert("RGB"), Image.merge("RGB", (light, light, light)))

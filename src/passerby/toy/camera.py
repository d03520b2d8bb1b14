"""Six cameras, each with its own place, colours, sharpness and noise."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from passerby.errors import InputError
from passerby.toy.scenery import Backdrop, Ground, paint_scene

_DEVIATION_OF_TWO_BYTES = ((256**2 - 1) / 6) ** 0.5


@dataclass(frozen=True)
class Camera:
    """What is fixed for all crops of a camera.

    Attributes:
        number: 1 to 6.
        ground, backdrop: the place that the camera looks at.
        cast: factors of red, green and blue.
        contrast: slope of the brightness curve around mid-grey.
        brightness: added to every channel after the curve.
        blur: radius of the blur, in pixels.
        noise: standard deviation of the noise, in grey levels.
        jpeg_quality: the quality with which it stores its pictures.
    """

    number: int
    ground: Ground
    backdrop: Backdrop
    cast: tuple[float, float, float]
    contrast: float
    brightness: float
    blur: float
    noise: float
    jpeg_quality: int

    @cached_property
    def scene(self) -> Image.Image:
        """The place the camera looks at; treat it as read-only."""
        return paint_scene(self.number, self.ground, self.backdrop)

    def capture(
        self, crop: Image.Image, exposure: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Turn a clean picture into what this camera records of it.

        Args:
            crop: an RGB image.
            exposure: factor on all brightness, 1 for the camera's usual exposure.
            rng: the source of the noise.

        Returns:
            (height, width, 3) uint8.
        """
        seen = crop.filter(ImageFilter.BoxBlur(self.blur)) if self.blur else crop
        seen = seen.point(self._curves(exposure))
        return _with_noise(np.asarray(seen), self.noise, rng)

    def _curves(self, exposure: float) -> list[int]:
        levels = np.outer(self.cast, np.arange(256)) * exposure
        levels = (levels - 128) * self.contrast + 128 + self.brightness
        return [int(level) for level in np.clip(np.rint(levels), 0, 255).ravel()]


CAMERAS: dict[int, Camera] = {
    camera.number: camera
    for camera in (
        Camera(1, "pavement", "wall", (1.04, 1.0, 0.95), 1.0, 0.0, 0.0, 4.0, 90),
        Camera(2, "asphalt", "shop", (0.92, 1.0, 1.1), 0.9, 6.0, 0.5, 6.0, 85),
        Camera(3, "grass", "hedge", (0.98, 1.05, 0.92), 1.08, -8.0, 0.3, 5.0, 80),
        Camera(4, "pavement", "hedge", (1.08, 0.98, 0.9), 0.85, 16.0, 0.7, 4.0, 75),
        Camera(5, "grass", "wall", (1.0, 0.96, 1.06), 1.05, -22.0, 0.2, 9.0, 80),
        Camera(6, "asphalt", "wall", (0.95, 1.02, 1.0), 0.78, 4.0, 1.1, 7.0, 65),
    )
}


def camera_number(number: int) -> Camera:
    """Return the camera with a number.

    Raises:
        InputError: the number is not 1 to 6.
    """
    if number not in CAMERAS:
        raise InputError(
            f"Camera {number} does not exist: the toy cameras are 1 to {len(CAMERAS)}."
        )
    return CAMERAS[number]


def _with_noise(
    pixels: NDArray[np.uint8], deviation: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Add noise made of two random bytes a value, which is fast and near enough to normal."""
    random = np.frombuffer(rng.bytes(2 * pixels.size), np.uint8).reshape(2, *pixels.shape)
    centred = random[0].astype(np.float32) + random[1] - 255.0
    noisy = pixels + centred * np.float32(deviation / _DEVIATION_OF_TWO_BYTES)
    result: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return result

"""Small copies of crops, without what cameras write into files."""

import io

import numpy as np
from PIL import Image

from passerby.data.decoding import Pixels

LARGEST = (256, 128)
"""Height and width that a copy fits into, in pixels."""

_QUALITY = 90


def thumbnail(pixels: Pixels) -> bytes:
    """Return a JPEG of at most 256×128 pixels.

    Args:
        pixels: uint8, shape (height, width, 3).
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGEST[0] / height, LARGEST[1] / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if size != (width, height):
        image = image.resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

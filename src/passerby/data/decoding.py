"""Image files to pixels: one decoder and one resize filter, in training and in use."""

import io
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from passerby.data.crops import Crops
from passerby.data.crops import Pixels as Pixels
from passerby.errors import InputError

Item = TypeVar("Item")
Done = TypeVar("Done")

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MAX_PIXELS = 50_000_000
"""A file that claims more pixels is refused before they are decoded."""

MAX_BYTES = 200_000_000
"""A larger file is refused before it is read."""

MIN_SIDE = 8
"""Pixels; a smaller image shows no pedestrian."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""Pillow knows more, some of which start other programs."""

_LEAST_THREADS, _MOST_THREADS = 2, 16
"""That decode: one waits for the disk while another decodes; more than a model can keep up with."""

_JPEG_MAGIC = b"\xff\xd8\xff"


def is_image_name(path: Path) -> bool:
    """Tell by its name whether a file is an image; macOS's `._*` and hidden files are not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def decode(path: Path) -> Pixels:
    """Read an image file as RGB.

    Grey, CMYK, palette, 16-bit and transparent images are converted, EXIF rotation is applied.

    Returns:
        Pixels, uint8, shape (height, width, 3).

    Raises:
        InputError: the file is missing, empty, cut off, not an image, smaller than 8 pixels on
            a side, or larger than 50 million pixels.
    """
    return decode_bytes(read_file(path), str(path))


def decode_bytes(content: bytes, name: str) -> Pixels:
    """Do as `decode` with the content of a file.

    Args:
        content: of the file.
        name: of the file, for messages.
    """
    if not content:
        raise InputError(f"{name} is empty: replace or remove it.")
    pixels = _decode_plain_jpeg(content)
    return pixels if pixels is not None else _decode_with_pillow(content, name)


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize with Pillow's bilinear filter (antialiased when it shrinks).

    Args:
        pixels: uint8, shape (height, width, 3).
        size: the new (height, width).

    Returns:
        uint8, shape (*size, 3); the same array if the size is already right.
    """
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def load_crop(crops: Crops, row: int) -> Pixels:
    """Return one crop as it is: what its box cuts out of its file, or of its image in memory.

    Returns:
        Pixels, uint8, shape (height, width, 3).

    Raises:
        InputError: the file cannot be decoded, or the box lies outside the picture.
    """
    name = str(crops.paths[row])
    pixels = decode(crops.paths[row]) if crops.images is None else check_pixels(crops.images[row])
    if crops.box is None or crops.box[row, 2] <= 0:
        return pixels
    return cut_box(pixels, crops.box[row].tolist(), name)


def cut_box(pixels: Pixels, box: Sequence[int], name: str) -> Pixels:
    """Cut a box out of a picture; what reaches beyond the picture is left out.

    Args:
        pixels: uint8, shape (height, width, 3).
        box: left, top, width and height.
        name: of the file, for messages.

    Raises:
        InputError: fewer than 8 pixels a side lie in the picture.
    """
    left, top, width, height = box
    part = pixels[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if min(part.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"{name}: of the box {left} {top} {width} {height} fewer than {MIN_SIDE} pixels a side "
            f"lie in the picture of {pixels.shape[1]}×{pixels.shape[0]}: fix the box."
        )
    return part


def check_pixels(image: Any, channels: str = "rgb") -> Pixels:
    """Return an image in memory as RGB pixels.

    Args:
        image: a PIL image, or an array, uint8, shape (height, width, 3).
        channels: "rgb", or "bgr" for arrays as OpenCV reads them.

    Returns:
        Pixels, uint8, shape (height, width, 3).

    Raises:
        InputError: it is neither, or too small.
    """
    if channels not in ("rgb", "bgr"):
        raise InputError(f"`channels` is {channels!r}: choose 'rgb' or 'bgr'.")
    if isinstance(image, Image.Image):
        pixels = np.array(_to_rgb(ImageOps.exif_transpose(image)))
    else:
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise InputError(
                f"An image of dtype {pixels.dtype} and shape {pixels.shape} cannot be used: give a "
                "path, a PIL image, or an array of uint8, shape (height, width, 3)."
            )
        if channels == "bgr":
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"An image has {pixels.shape[1]}×{pixels.shape[0]} pixels, too few to show a "
            f"pedestrian: at least {MIN_SIDE} a side are needed."
        )
    return pixels


def decode_all(crops: Crops, size: tuple[int, int], threads: int | None = None) -> Iterator[Pixels]:
    """Decode and resize crops in order, a few ahead of the consumer, in threads.

    Raises:
        InputError: as `load_crop`, when the broken crop's turn comes.
    """
    load = partial(_load_resized, crops, size=size)
    for image in map_ahead(load, range(len(crops)), threads):
        if isinstance(image, InputError):
            raise image
        yield image


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ahead(
    work: Callable[[Item], Done],
    items: Iterable[Item],
    threads: int | None = None,
    ahead: int = 128,
) -> Generator[Done, None, None]:
    """Yield `work` of each item in order, done in threads a few items ahead of the consumer.

    Args:
        work: is done to each item.
        items: are taken one by one.
        threads: as many as this process may use cores, or OMP_NUM_THREADS if those are fewer, 2 at
            least and 16 at most, if left out.
        ahead: items that are done or being done before the consumer asks for them.
    """
    if threads is None:
        told = os.environ.get("OMP_NUM_THREADS", "")
        wanted = min(usable_cores(), int(told)) if told.isdecimal() else usable_cores()
        threads = min(max(wanted, _LEAST_THREADS), _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        waiting = (pool.submit(work, item) for item in items)
        pending = deque(islice(waiting, ahead))
        try:
            while pending:
                done = pending.popleft().result()
                pending.extend(islice(waiting, 1))
                yield done
        finally:
            for future in pending:
                future.cancel()


def batches(images: Iterable[Pixels], size: int) -> Iterator[Pixels]:
    """Stack images of one shape into arrays of at most `size`."""
    remaining = iter(images)
    while batch := list(islice(remaining, size)):
        yield np.stack(batch)


def _load_resized(crops: Crops, row: int, size: tuple[int, int]) -> Pixels | InputError:
    try:
        return resize(load_crop(crops, row), size)
    except InputError as error:
        # a fresh one: the traceback would keep the file's bytes alive
        return InputError(str(error))


def read_file(path: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        InputError: it is missing, or too large for a crop.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file: remove it or give an image.")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large for a crop: cut out the pedestrian first.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}: replace or remove it.") from error
    except ValueError:
        raise InputError(f"{str(path)!r} is not a name of a file: fix it.") from None


def _decode_plain_jpeg(content: bytes) -> Pixels | None:
    """Decode the ordinary case at simplejpeg's speed; None leaves the file to Pillow."""
    if not content.startswith(_JPEG_MAGIC) or b"Exif" in content[:64]:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours == "CMYK" or min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(content, colorspace="RGB")
    except ValueError:
        return None
    return pixels


def _decode_with_pillow(content: bytes, path: str) -> Pixels:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _check_size(image, path)
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path} is not an image: replace or remove it.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path} is too large for a crop: cut out the pedestrian first.") from None
    except Exception as error:
        # Pillow's plugins raise OSError, SyntaxError, struct.error, … on broken bytes.
        raise InputError(
            f"{path} is damaged or cut off ({error}): replace or remove it."
        ) from error


def _check_size(image: Image.Image, path: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} has {width}×{height} pixels, too many for a crop: "
            "cut out the pedestrian first."
        )
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{path} has {width}×{height} pixels, too few to show a pedestrian: "
            f"at least {MIN_SIDE} a side are needed."
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scaled_to_8_bit(image).convert("RGB")
    return image.convert("RGB")


def _scaled_to_8_bit(image: Image.Image) -> Image.Image:
    """Map 16-bit (or wider) grey to 0–255; Pillow's own conversion clips it to white."""
    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8))

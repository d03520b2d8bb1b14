"""What is done to a crop before a model sees it, without a gallery: read, hashed, cut, resized."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS, is_text
from passerby.data.crops import Crops, Pixels
from passerby.data.decoding import cut_box, decode_bytes, read_file, resize
from passerby.errors import InputError
from passerby.gallery.settings import Settings
from passerby.gallery.thumbnails import thumbnail
from passerby.inference.embeddings import Embeddings


@dataclass(frozen=True)
class PreparedCrop:
    """A crop ready for the model.

    Attributes:
        path: of its file, or the name of an upload, for messages.
        known: name of a column to what is known, as Python has it; unknown ones are left out.
        keeps_path: whether the gallery stores the path, which of an upload is its name only.
        hash: what it is known by: the SHA-256 of its file, or of that and its box.
        frame: SHA-256 of the file that a box was cut out of; None without a box.
        pixels: as the model sees them.
        thumbnail: JPEG; None if the gallery keeps none.
        vector: its embedding, if it is known already, shape (D,).
        attributes: likewise its probabilities, shape (attributes,).
    """

    path: Path
    known: Mapping[str, Any]
    keeps_path: bool
    hash: str
    frame: str | None
    pixels: Pixels
    thumbnail: bytes | None
    vector: NDArray[np.float32] | None = None
    attributes: NDArray[np.float32] | None = None


def prepare_crop(
    content: bytes,
    path: Path,
    known: Mapping[str, Any],
    settings: Settings,
    *,
    keeps_path: bool = True,
    image: Pixels | None = None,
) -> PreparedCrop:
    """Make a crop ready for the model of a gallery.

    Args:
        content: of the image file.
        path: of it.
        known: name of a column to what is known; with `box`, that part of the file is the crop;
            with `role`, its person is not kept, since it shows nobody who is known.
        settings: of the gallery.
        keeps_path: whether the gallery stores the path.
        image: the content's pixels, if they are known already.

    Raises:
        InputError: it cannot be decoded.
    """
    pixels = decode_bytes(content, str(path)) if image is None else image
    digest, frame = hashlib.sha256(content).hexdigest(), None
    box = known.get("box")
    if box is not None:
        pixels = cut_box(pixels, box, str(path))
        frame = digest
        digest = hashlib.sha256(f"{frame}:{','.join(map(str, box))}".encode()).hexdigest()
    if known.get("role"):
        known = {name: value for name, value in known.items() if name != "person"}
    return PreparedCrop(
        path,
        known,
        keeps_path,
        digest,
        frame,
        resize(pixels, (settings.height, settings.width)),
        thumbnail(pixels) if settings.images == "thumbnails" else None,
    )


def prepare_row(
    crops: Crops, people: Embeddings | None, settings: Settings, row: int
) -> PreparedCrop | InputError:
    """Return a crop of a table ready for the model, or what is wrong with it.

    Args:
        crops: the table.
        people: what a model says of them, if it is known.
        settings: of the gallery.
        row: of the table.
    """
    path = crops.paths[row]
    known = {
        name: value
        for name, values in crops.columns.items()
        if (value := COLUMNS[name].kind.to_python(values[row])) is not None
    }
    try:
        if not is_text(str(path)):
            raise InputError(f"{str(path)!r} is not named in UTF-8: rename it.")
        image = None if crops.images is None else crops.images[row]
        content = read_file(path) if image is None else np.ascontiguousarray(image).tobytes()
        crop = prepare_crop(content, path, known, settings, keeps_path=image is None, image=image)
    except InputError as error:
        # a fresh one: the traceback would keep the file's bytes alive
        return InputError(str(error))
    if people is None:
        return crop
    attributes = None if people.attributes is None else people.attributes[row]
    return replace(crop, vector=people.vectors[row], attributes=attributes)

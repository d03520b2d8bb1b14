"""What is done to a crop on its way to a gallery: read, hashed, cut, resized, embedded."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS, is_text
from passerby.data.crops import Crops, Pixels
from passerby.data.decoding import cut_box, decode_bytes, map_ahead, read_file, resize
from passerby.errors import InputError
from passerby.gallery.settings import Settings
from passerby.gallery.thumbnails import thumbnail
from passerby.inference.cluster import Cluster
from passerby.inference.cluster_worker import (
    BROKEN,
    number_column,
    numbers_of,
    text_column,
    texts_of,
)
from passerby.inference.embeddings import Embeddings
from passerby.inference.runtime_model import Answers, RuntimeModel

_MODEL_ROWS = 64
AHEAD = 256
"""Images that are decoded before the model asks for them."""


@dataclass(frozen=True)
class HashedCrop:
    """A crop, and what it is known by.

    Attributes:
        path: of its file, or the name of an upload, for messages.
        known: name of a column to what is known, as Python has it; unknown ones are left out.
        keeps_path: whether the gallery stores the path, which of an upload is its name only.
        hash: what it is known by: the SHA-256 of its file, or of that and its box.
        frame: SHA-256 of the file that a box was cut out of; None without a box.
        thumbnail: JPEG; None if the gallery keeps none.
    """

    path: Path
    known: Mapping[str, Any]
    keeps_path: bool
    hash: str
    frame: str | None
    thumbnail: bytes | None


@dataclass(frozen=True)
class PreparedCrop(HashedCrop):
    """A crop ready for the model.

    Attributes:
        pixels: as the model sees them.
    """

    pixels: Pixels


@dataclass(frozen=True)
class EmbeddedCrop(HashedCrop):
    """A crop, and what the model says of it.

    Attributes:
        vector: its embedding, shape (D,).
        attributes: its probabilities, shape (attributes,); None without attributes.
    """

    vector: NDArray[np.float32]
    attributes: NDArray[np.float32] | None


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
    return PreparedCrop(
        path,
        _kept(known),
        keeps_path,
        digest,
        frame,
        thumbnail(pixels) if settings.images == "thumbnails" else None,
        resize(pixels, (settings.height, settings.width)),
    )


def _kept(known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a gallery keeps: no person where nobody who is known is shown."""
    if not known.get("role"):
        return known
    return {name: value for name, value in known.items() if name != "person"}


def prepare_row(
    crops: Crops, people: Embeddings | None, settings: Settings, row: int
) -> PreparedCrop | EmbeddedCrop | InputError:
    """Return a crop of a table ready for the model, or for the gallery, or what is wrong with it.

    Args:
        crops: the table.
        people: what a model says of them, if it is known.
        settings: of the gallery.
        row: of the table.
    """
    path = crops.paths[row]
    known = _known_of(crops, row)
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
    return _embedded(crop, people.vectors[row], attributes)


def prepare_by_cluster(
    cluster: Cluster,
    model: RuntimeModel,
    crops: Crops,
    settings: Settings,
    known: NDArray[np.bytes_],
) -> Generator[HashedCrop | InputError, None, None]:
    """Let the workers of a cluster read, prepare and embed crops; yield them in their order.

    Args:
        cluster: of the workers.
        model: of the gallery.
        crops: the table.
        settings: of the gallery.
        known: hashes of the gallery, as `hash_bytes` returns them, ascending; crops with one of
            them are only read.

    Raises:
        InputError: see `Cluster.run`.
    """
    step = partial(_prepare_and_embed, settings=settings, known=known)
    with closing(cluster.run(model, crops, step)) as tables:
        row = 0
        for table in tables:
            vectors = numbers_of(table.column("vector"), settings.embedding_size)
            attributes = [None] * len(table)
            if model.schema is not None:
                attributes = list(numbers_of(table.column("attributes"), len(model.schema)))
            broken = texts_of(table.column(BROKEN))
            found = table.select(["hash", "frame", "thumbnail", "embedded"]).to_pylist()
            for wrong, told, vector, probabilities in zip(
                broken, found, vectors, attributes, strict=True
            ):
                if wrong is not None:
                    yield InputError(wrong)
                else:
                    kept = _kept(_known_of(crops, row))
                    hashed = told["hash"], told["frame"], told["thumbnail"]
                    crop = HashedCrop(crops.paths[row], kept, True, *hashed)
                    yield _embedded(crop, vector, probabilities) if told["embedded"] else crop
                row += 1


def hash_bytes(hashes: Sequence[str]) -> NDArray[np.bytes_]:
    """Return hashes in a quarter of the memory, shape (N,)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), "S32")


def _prepare_and_embed(
    model: RuntimeModel, crops: Crops, *, settings: Settings, known: NDArray[np.bytes_]
) -> dict[str, pa.Array]:
    """Do so with some crops; a `Step` of a cluster."""
    prepare = partial(prepare_row, crops, None, settings)
    found = list(map_ahead(prepare, range(len(crops)), ahead=AHEAD))
    hashed = {row: crop for row, crop in enumerate(found) if isinstance(crop, PreparedCrop)}
    asked = hash_bytes([crop.hash for crop in hashed.values()])
    # not np.isin, which would sort millions each time
    places = np.minimum(np.searchsorted(known, asked), max(0, len(known) - 1))
    is_known = known[places] == asked if len(known) else np.zeros(len(asked), np.bool_)
    new = [row for row, there in zip(hashed, is_known.tolist(), strict=True) if not there]
    vectors = np.zeros((len(found), settings.embedding_size), np.float32)
    columns = {
        BROKEN: text_column(
            [str(crop) if isinstance(crop, InputError) else None for crop in found]
        ),
        "hash": _column(hashed, found, "hash", pa.string()),
        "frame": _column(hashed, found, "frame", pa.string()),
        "thumbnail": _column(hashed, found, "thumbnail", pa.binary()),
        "embedded": pa.array(np.isin(np.arange(len(found)), new)),
    }
    probabilities = np.zeros((len(found), model.info.attribute_count), np.float32)
    if new:
        vectors[new], told = embed_prepared(model, [hashed[row] for row in new])
        if told is not None:
            probabilities[new] = told
    columns["vector"] = number_column(vectors)
    if model.schema is not None:
        columns["attributes"] = number_column(probabilities)
    return columns


def _column(
    hashed: Mapping[int, PreparedCrop], found: Sequence[Any], name: str, kind: pa.DataType
) -> pa.Array:
    """Return a field of crops, null where they are broken."""
    values = (getattr(hashed[row], name) if row in hashed else None for row in range(len(found)))
    return pa.array(list(values), kind)


def embed_prepared(model: RuntimeModel, crops: Sequence[PreparedCrop]) -> Answers:
    """Return embeddings and probabilities of at least one crop."""
    answers = [
        model.run(np.stack([crop.pixels for crop in crops[start : start + _MODEL_ROWS]]))
        for start in range(0, len(crops), _MODEL_ROWS)
    ]
    told = [attributes for _, attributes in answers if attributes is not None]
    return np.concatenate([vectors for vectors, _ in answers]), (
        np.concatenate(told) if told else None
    )


def _known_of(crops: Crops, row: int) -> Mapping[str, Any]:
    """Return what is known of a crop, by name of the column."""
    return {
        name: value
        for name, values in crops.columns.items()
        if (value := COLUMNS[name].kind.to_python(values[row])) is not None
    }


def _embedded(
    crop: HashedCrop, vector: NDArray[np.float32], attributes: NDArray[np.float32] | None
) -> EmbeddedCrop:
    return EmbeddedCrop(
        crop.path,
        crop.known,
        crop.keeps_path,
        crop.hash,
        crop.frame,
        crop.thumbnail,
        vector,
        attributes,
    )

"""The table of a gallery: one row a crop."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.errors import InputError
from passerby.gallery.settings import Settings

EMBEDDING = "embedding"
KNOWN = ("hash", "path", "person", "camera", "time", "source", "added")
"""What is shown of a row besides its attributes."""


_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
"""Of two that add the same crop at once the second notices only with this; see lance's merge."""


def arrow_schema(settings: Settings) -> pa.Schema:
    """Return the columns, with the settings in their metadata.

    `hash` is the SHA-256 of the crop's file; `time`, when it was taken, and `added` are UTC;
    attributes are probabilities.
    """
    moment = pa.timestamp("us", tz="UTC")
    thumbnail = [pa.field("thumbnail", pa.binary())] if settings.images == "thumbnails" else []
    return pa.schema(
        [
            pa.field("hash", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("path", pa.string()),
            pa.field("person", pa.int32()),
            pa.field("camera", pa.int32()),
            pa.field("time", moment),
            pa.field("source", pa.string()),
            pa.field("added", moment, nullable=False),
            *thumbnail,
            *(pa.field(a, pa.float32(), nullable=False) for a in settings.schema_.attributes),
            pa.field(EMBEDDING, pa.list_(pa.float32(), settings.embedding_size), nullable=False),
        ],
        metadata=settings.to_metadata(),
    )


def arrow_table(
    settings: Settings,
    known: Mapping[str, Sequence[Any]],
    attributes: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> pa.Table:
    """Return rows for the table.

    Args:
        settings: of the gallery.
        known: column to values, N of each.
        attributes: probabilities, shape (N, attributes).
        vectors: embeddings, shape (N, D).
    """
    schema = arrow_schema(settings)
    columns: list[pa.Array] = []
    for field in schema:
        if field.name == EMBEDDING:
            flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
            columns.append(pa.FixedSizeListArray.from_arrays(flat, settings.embedding_size))
        elif field.name in known:
            columns.append(pa.array(known[field.name], field.type))
        else:
            position = settings.schema_.index(field.name)
            columns.append(pa.array(np.ascontiguousarray(attributes[:, position])))
    return pa.Table.from_arrays(columns, schema=schema)


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Return the embeddings of rows, shape (N, D)."""
    column = table.column(EMBEDDING).combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), column.type.list_size)


def attributes_of(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    """Return attribute probabilities of rows, shape (N, names)."""
    values = np.empty((len(table), len(names)), np.float32)
    for position, name in enumerate(names):
        values[:, position] = table.column(name).to_numpy()
    return values


def hash_filter(hashes: Sequence[str]) -> str:
    """Return the filter for rows of these hashes.

    Raises:
        InputError: one is not a hash.
    """
    for value in hashes:
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise InputError(f"{value[:80]!r} is not a hash of a crop: take one from a search.")
    return f"hash IN ({', '.join(repr(value) for value in hashes)})"

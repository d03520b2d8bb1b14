"""The table of a gallery: one row a crop."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.columns import Column, gallery_columns
from passerby.errors import InputError
from passerby.gallery.settings import Settings

EMBEDDING = "embedding"

STORAGE_OPTIONS = {"new_table_enable_stable_row_ids": "true"}
"""A row keeps its id when its file is written anew."""

_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
"""Of two that add the same crop at once the second notices only with this; see lance's merge."""

_LITERAL = {
    "lance-encoding:compression": "none",
    "lance-encoding:dict-values-compression": "none",
}
"""After an erasure the files are searched for what was erased, which has to be readable there."""

_OWN = ("hash", "path", "frame", "added", "thumbnail", EMBEDDING)
"""Columns of a table that are neither declared nor attributes."""


def attribute_columns(settings: Settings) -> dict[str, str]:
    """Return the table's column of each attribute: an attribute may be called `path`."""
    names = () if settings.schema_ is None else settings.schema_.names
    return {name: f"a{place:04d}" for place, name in enumerate(names)}


def known_columns(schema: pa.Schema) -> tuple[Column, ...]:
    """Return what a table keeps of `passerby.data.columns`, in their order."""
    return tuple(column for column in gallery_columns() if column.name in schema.names)


def shown_names(schema: pa.Schema) -> list[str]:
    """Return what is shown of a row besides its attributes."""
    return ["hash", "path", *(column.name for column in known_columns(schema)), "added"]


def undeclared_fields(schema: pa.Schema, settings: Settings) -> list[pa.Field]:
    """Return columns of a table that were declared where it was made, but are not here."""
    attributes = attribute_columns(settings).values()
    known = {*_OWN, *attributes, *(column.name for column in gallery_columns())}
    return [field for field in schema if field.name not in known]


def arrow_schema(settings: Settings, undeclared: Sequence[pa.Field] = ()) -> pa.Schema:
    """Return the columns, with the settings in their metadata.

    `hash` is what the crop is known by, `frame` the SHA-256 of the file that a box was cut out of;
    `added` is UTC; attributes are probabilities.

    Args:
        settings: of the gallery.
        undeclared: columns that an earlier table has, see `undeclared_fields`.
    """
    moment = pa.timestamp("us", tz="UTC")
    thumbnail = pa.field("thumbnail", pa.binary(), metadata=_LITERAL)
    return pa.schema(
        [
            pa.field("hash", pa.string(), nullable=False, metadata=_PRIMARY_KEY | _LITERAL),
            pa.field("path", pa.string(), metadata=_LITERAL),
            *(pa.field(c.name, c.kind.arrow_type(), metadata=_LITERAL) for c in gallery_columns()),
            *undeclared,
            pa.field("frame", pa.string(), metadata=_LITERAL),
            pa.field("added", moment, nullable=False),
            *([thumbnail] if settings.images == "thumbnails" else []),
            *(
                pa.field(column, pa.float32(), nullable=False)
                for column in attribute_columns(settings).values()
            ),
            pa.field(EMBEDDING, pa.list_(pa.float32(), settings.embedding_size), nullable=False),
        ],
        metadata=settings.to_metadata(),
    )


def arrow_table(
    schema: pa.Schema,
    settings: Settings,
    known: Mapping[str, Sequence[Any]],
    attributes: NDArray[np.float32] | None,
    vectors: NDArray[np.float32],
) -> pa.Table:
    """Return rows for the table.

    Args:
        schema: of the table.
        settings: of the gallery.
        known: column to values, N of each; those that are left out are unknown.
        attributes: probabilities, shape (N, attributes); None without attributes.
        vectors: embeddings, shape (N, D).
    """
    places = {column: place for place, column in enumerate(attribute_columns(settings).values())}
    columns: list[pa.Array] = []
    for field in schema:
        if field.name == EMBEDDING:
            flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
            columns.append(pa.FixedSizeListArray.from_arrays(flat, settings.embedding_size))
        elif field.name in places:
            assert attributes is not None
            columns.append(pa.array(np.ascontiguousarray(attributes[:, places[field.name]])))
        else:
            values = known.get(field.name, [None] * len(vectors))
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Return the embeddings of rows, shape (N, D)."""
    column = table.column(EMBEDDING).combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), column.type.list_size)


def attributes_of(table: pa.Table, columns: Sequence[str]) -> NDArray[np.float32]:
    """Return attribute probabilities of rows, shape (N, columns)."""
    values = np.empty((len(table), len(columns)), np.float32)
    for position, name in enumerate(columns):
        values[:, position] = table.column(name).to_numpy()
    return values


def known_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a row, by name of the column; None of columns that it lacks."""
    return {column.name: row.get(column.name) for column in gallery_columns()}


def hash_filter(hashes: Sequence[str], column: str = "hash") -> str:
    """Return the filter for rows of these hashes.

    Raises:
        InputError: one is not a hash.
    """
    for value in hashes:
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise InputError(f"{value[:80]!r} is not a hash of a crop: take one from a search.")
    return f"{column} IN ({', '.join(repr(value) for value in hashes)})"

"""Writing a gallery's table to a file that other programs read."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from passerby.data.columns import TIME, Kind, is_text
from passerby.errors import InputError
from passerby.files import replacing
from passerby.gallery.audit import Entry
from passerby.gallery.store import Store
from passerby.gallery.table_schema import (
    EMBEDDING,
    attribute_columns,
    known_columns,
    shown_names,
)

_ROWS = 4096


def export(store: Store, target: Path, where: str | None = None, reason: str | None = None) -> int:
    """Write rows to a file, whole or not at all: .csv without embeddings, .parquet with them.

    Args:
        store: the gallery.
        target: the file.
        where: a filter for the store; all rows if left out.
        reason: for the audit log.

    Returns:
        How many rows were written.

    Raises:
        InputError: the file's name ends otherwise, or it cannot be written.
    """
    if not is_text(str(target)):
        raise InputError(f"{str(target)!r} is not text in UTF-8: write it again.")
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"{target} is neither .csv nor .parquet: choose one of these.")
    attributes = attribute_columns(store.settings)
    names = [*shown_names(store.schema), *attributes.values()]
    if suffix == ".parquet":
        names.append(EMBEDDING)
    own_names = {column: name for name, column in attributes.items()}
    # an attribute may be called as a column is
    clashes = {name for name in attributes if name in names}
    titles = [
        f"attribute {own_names[name]}"
        if own_names.get(name) in clashes
        else own_names.get(name, name)
        for name in names
    ]
    formats = _formats(store.schema) if suffix == ".csv" else {}
    fields = [store.schema.field(name) for name in names]
    schema = pa.schema(
        [
            pa.field(title, pa.string() if field.name in formats else field.type)
            for title, field in zip(titles, fields, strict=True)
        ]
    )
    rows = 0
    store.audit.append(Entry.now("export", store.count(where), reason))
    with replacing(target) as draft:
        writer = (
            csv.CSVWriter(draft, schema)
            if suffix == ".csv"
            else parquet.ParquetWriter(draft, schema)
        )
        with writer:
            for batch in store.batches(store.query(names, where), _ROWS):
                columns = [
                    _as_text(batch.column(field.name), formats[field.name])
                    if field.name in formats
                    else batch.column(field.name)
                    for field in fields
                ]
                table = pa.Table.from_arrays(columns, schema=schema)
                writer.write_table(table)
                rows += len(table)
    return rows


def _formats(schema: pa.Schema) -> dict[str, Kind]:
    """Return the columns that a CSV file writes in a way of their own: times and boxes."""
    kinds = {column.name: column.kind for column in known_columns(schema)} | {"added": TIME}
    plain = (pa.types.is_string, pa.types.is_floating)
    return {
        name: kind
        for name, kind in kinds.items()
        if not any(is_plain(kind.arrow_type()) for is_plain in plain)
    }


def _as_text(column: pa.Array, kind: Kind) -> pa.Array:
    texts = [None if value is None else kind.format(value) for value in column.to_pylist()]
    return pa.array(texts, pa.string())

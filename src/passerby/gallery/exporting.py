"""Writing a gallery's table to a file that other programs read."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from passerby.errors import InputError
from passerby.files import replacing
from passerby.gallery.audit import Entry
from passerby.gallery.sightings import is_text
from passerby.gallery.store import Store
from passerby.gallery.table_schema import EMBEDDING, KNOWN

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
        raise InputError(f"{str(target)!r} is not text in UTF-8: write it anew.")
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"{target} is neither .csv nor .parquet: choose one of these.")
    names = [*KNOWN, *store.settings.schema_.attributes]
    if suffix == ".parquet":
        names.append(EMBEDDING)
    schema = pa.schema([store.schema.field(name) for name in names])
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
                table = pa.Table.from_batches([batch]).select(names).cast(schema)
                writer.write_table(table)
                rows += len(table)
    return rows

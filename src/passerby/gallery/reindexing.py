"""Embedding a whole gallery again, by another model."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from passerby.data.crops import Pixels
from passerby.data.decoding import cut_box, decode_bytes, read_file, resize
from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import finish, with_note
from passerby.gallery.settings import Settings
from passerby.gallery.store import CROPS, Store
from passerby.gallery.table_schema import (
    STORAGE_OPTIONS,
    arrow_schema,
    arrow_table,
    shown_names,
    undeclared_fields,
)
from passerby.inference.runtime_model import OnBroken, Progress, RuntimeModel

_ROWS = 256


def reindex(
    store: Store,
    model: RuntimeModel,
    source: str | None,
    *,
    on_broken: OnBroken | None = None,
    progress: Progress | None = None,
    reason: str | None = None,
) -> tuple[Store, int]:
    """Embed all crops again, from their thumbnails or from where they lie.

    The gallery is exchanged at once when all is done; until then it can be searched, but not
    changed. An index has to be built again.

    Args:
        store: the gallery.
        model: the new model.
        source: where it was found.
        on_broken: called with what is wrong with each crop that cannot be read any more, which is
            left out then; without it the first one stops the work and nothing is changed.
        progress: called with (crops done, all crops).
        reason: for the audit log.

    Returns:
        The gallery as it is now, and how many crops it holds.

    Raises:
        InputError: a crop cannot be read, or the gallery cannot be written to.
    """
    settings = store.settings.with_model(model.info, source)
    with store.committing():
        broken: list[InputError] = []
        entry = Entry.now("reindex", store.count(), reason)
        plain = arrow_schema(settings, undeclared_fields(store.schema, store.settings))
        schema = with_note(plain, entry)
        batches = _embedded(store, plain, settings, model, on_broken or _stop_at(broken), progress)
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        try:
            store.database.create_table(
                CROPS, data=reader, mode="overwrite", storage_options=STORAGE_OPTIONS
            )
        except RuntimeError:
            # on its way through the database an exception becomes a text
            if broken:
                raise broken[0] from None
            raise
    changed = Store.open(store.where)
    rows = changed.count()
    changed.audit.append(replace(entry, rows=rows))
    with changed.committing():
        finish(changed)
    return changed, rows


def _embedded(
    store: Store,
    schema: pa.Schema,
    settings: Settings,
    model: RuntimeModel,
    on_broken: OnBroken,
    progress: Progress | None,
) -> Iterator[pa.RecordBatch]:
    thumbnails = settings.images == "thumbnails"
    undeclared = [field.name for field in undeclared_fields(store.schema, store.settings)]
    columns = [*shown_names(store.schema), *undeclared, "frame"]
    columns += ["thumbnail"] if thumbnails else []
    total, done = store.count(), 0
    for batch in store.batches(store.query(columns), _ROWS):
        rows = batch.to_pylist()
        kept, images = [], []
        for row in rows:
            try:
                images.append(resize(_pixels(row, thumbnails), model.info.preprocessing.size))
                kept.append(row)
            except InputError as error:
                on_broken(InputError(str(error)))
        done += len(rows)
        if kept:
            vectors, attributes = model.run(np.stack(images))
            known = {name: [row[name] for row in kept] for name in columns}
            yield from arrow_table(schema, settings, known, attributes, vectors).to_batches()
        if progress:
            progress(done, total)


def _pixels(row: Mapping[str, Any], thumbnails: bool) -> Pixels:
    name = row["path"] or row["hash"][:12]
    if thumbnails:
        return decode_bytes(row["thumbnail"], name)
    if row["path"] is None:
        raise InputError(f"The crop {name} was uploaded, and no picture of it is kept.")
    pixels = decode_bytes(read_file(Path(row["path"])), name)
    return pixels if row.get("box") is None else cut_box(pixels, row["box"], name)


def _stop_at(broken: list[InputError]) -> OnBroken:
    def stop(error: InputError) -> None:
        broken.append(error)
        raise error

    return stop

"""Embedding a whole gallery again, by another model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from passerby.data.decoding import decode_bytes, read_file, resize
from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import finish, with_note
from passerby.gallery.settings import Settings
from passerby.gallery.store import CROPS, Store
from passerby.gallery.table_schema import KNOWN, arrow_schema, arrow_table
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
        batches = _embedded(store, settings, model, on_broken or _stop_at(broken), progress)
        entry = Entry.now("reindex", store.count(), reason)
        schema = with_note(arrow_schema(settings), entry)
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        try:
            store.database.create_table(CROPS, data=reader, mode="overwrite")
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
    settings: Settings,
    model: RuntimeModel,
    on_broken: OnBroken,
    progress: Progress | None,
) -> Iterator[pa.RecordBatch]:
    thumbnails = settings.images == "thumbnails"
    columns = [*KNOWN, *(["thumbnail"] if thumbnails else [])]
    total, done = store.count(), 0
    for batch in store.batches(store.query(columns), _ROWS):
        rows = batch.to_pylist()
        kept, images = [], []
        for row in rows:
            try:
                content = row["thumbnail"] if thumbnails else read_file(Path(row["path"]))
                images.append(
                    resize(decode_bytes(content, row["path"]), model.info.preprocessing.size)
                )
                kept.append(row)
            except InputError as error:
                on_broken(InputError(str(error)))
        done += len(rows)
        if kept:
            vectors, attributes = model.run(np.stack(images))
            known = {name: [row[name] for row in kept] for name in columns}
            yield from arrow_table(settings, known, attributes, vectors).to_batches()
        if progress:
            progress(done, total)


def _stop_at(broken: list[InputError]) -> OnBroken:
    def stop(error: InputError) -> None:
        broken.append(error)
        raise error

    return stop

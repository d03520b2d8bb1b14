"""Adding crops: each once, by the hash of its file and its box, whoever adds it, however often."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS
from passerby.data.crops import Crops
from passerby.data.decoding import map_ahead
from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import is_unfinished
from passerby.gallery.known_hashes import KnownHashes
from passerby.gallery.preparing import (
    AHEAD,
    EmbeddedCrop,
    HashedCrop,
    PreparedCrop,
    embed_prepared,
    hash_bytes,
    prepare_by_cluster,
    prepare_row,
)
from passerby.gallery.store import Store
from passerby.gallery.table_schema import (
    arrow_table,
    attribute_columns,
    known_columns,
)
from passerby.inference.cluster import Cluster
from passerby.inference.embeddings import Embeddings
from passerby.inference.runtime_model import (
    Answers,
    OnBroken,
    Progress,
    RuntimeModel,
    report_broken,
)

COMMIT_ROWS = 1024
"""Rows that are committed together: after each commit they survive whatever happens."""

_LENGTHS = 1e-4
"""Of vectors in single precision: so much may their lengths differ from 1."""


@dataclass
class Added:
    """What became of the crops.

    Attributes:
        rows: added.
        known: in the gallery already, or given twice.
        broken: what is wrong with the others.
        hashes: of the added and of the known.
    """

    rows: int = 0
    known: int = 0
    broken: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)


def add(
    store: Store,
    model: RuntimeModel | None,
    crops: Crops | Embeddings,
    *,
    on_broken: OnBroken | None = None,
    progress: Progress | None = None,
    reason: str | None = None,
    who: str | None = None,
    cluster: Cluster | None = None,
) -> Added:
    """Add crops; those that are there already stay as they are.

    Args:
        store: the gallery.
        model: whose vectors it holds; None with embeddings.
        crops: the crops; embeddings of the same model are not computed again.
        on_broken: called with what is wrong with each crop that cannot be decoded; without it
            the first one stops the work. What was committed before stays.
        progress: called with (crops done, all crops): those are in the gallery for good.
        reason, who: for the audit log.
        cluster: whose workers read and embed; they do not embed what is in the gallery when they
            begin.

    Raises:
        InputError: the gallery holds another model's vectors, or lacks a column that the crops
            have, a crop cannot be decoded, or the gallery cannot be written to.
    """
    people = crops if isinstance(crops, Embeddings) else None
    table = people.crops if people is not None else crops
    assert isinstance(table, Crops)
    known = (n for n, values in table.columns.items() if COLUMNS[n].kind.known(values).any())
    check_columns(store, known)
    if people is not None:
        _check_embeddings(store, people)
    elif model is not None:
        store.settings.check_model(model.info, store.where)
    ready: Generator[HashedCrop | InputError, None, None]
    if cluster is None or model is None:
        load = partial(prepare_row, table, people, store.settings)
        ready = map_ahead(load, range(len(table)), ahead=AHEAD)
    else:
        ready = prepare_by_cluster(cluster, model, table, store.settings, _hashes(store))
    added = Added()
    try:
        with closing(ready):
            for done in commit_all(store, model, ready, added, on_broken):
                if progress:
                    progress(done, len(table))
    finally:
        if added.rows:
            store.audit.append(Entry.now("add", added.rows, reason, who))
    return added


def check_columns(store: Store, names: Iterable[str]) -> None:
    """Check that a gallery has columns of these names, of those that galleries keep.

    Raises:
        InputError: it was made before one was declared.
    """
    kept = {column.name for column in known_columns(store.schema)}
    for name in names:
        if COLUMNS[name].in_gallery and name not in kept:
            raise InputError(
                f"{store.where} has no column {name}, which was declared after it was made: make "
                f"a new gallery, or leave {name} out."
            )


@dataclass(frozen=True)
class AddRequest:
    """Crops that one client adds.

    Attributes:
        crops: as `prepare_crop` returned them.
        reason, who: for the audit log.
    """

    crops: Sequence[PreparedCrop]
    reason: str | None = None
    who: str | None = None


def add_together(store: Store, model: RuntimeModel, batches: Sequence[AddRequest]) -> list[Added]:
    """Add the crops of several clients in one commit, all of them or none.

    Args:
        store: the gallery.
        model: whose vectors it holds.
        batches: the crops; of a crop in several of them the first one says what is known.

    Returns:
        What became of each batch.

    Raises:
        InputError: the gallery holds another model's vectors, lacks a column of what is known, or
            cannot be written to.
    """
    store.settings.check_model(model.info, store.where)
    check_columns(store, {name for batch in batches for crop in batch.crops for name in crop.known})
    unique: dict[str, PreparedCrop] = {}
    for batch in batches:
        for crop in batch.crops:
            unique.setdefault(crop.hash, crop)
    known = KnownHashes.of(store).among(list(unique))
    new = {value: crop for value, crop in unique.items() if value not in known}
    if new:
        _embedded_and_committed(store, model, list(new.values()))
    left = set(new)
    outcomes = []
    for batch in batches:
        hashes = list(dict.fromkeys(crop.hash for crop in batch.crops))
        rows = len(left.intersection(hashes))
        left.difference_update(hashes)
        outcomes.append(Added(rows, len(batch.crops) - rows, [], hashes))
        store.audit.append(Entry.now("add", rows, batch.reason, batch.who))
    return outcomes


def commit(
    store: Store,
    known: dict[str, Sequence[Any]],
    attributes: NDArray[np.float32] | None,
    vectors: NDArray[np.float32],
) -> int:
    """Add rows in one commit, but those whose hash is in the gallery; return how many.

    Args:
        store: the gallery.
        known: the other columns, N values each.
        attributes: probabilities, shape (N, attributes); None without attributes.
        vectors: embeddings, shape (N, D).

    Raises:
        InputError: a vector is not of length 1, or the gallery cannot be written to.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) <= _LENGTHS).all():
        strange = float(lengths[np.abs(lengths - 1).argmax()])
        raise InputError(
            f"An embedding has the length {strange:.4g}: a gallery holds vectors of length 1, so "
            "divide each by its own."
        )
    with store.committing():
        # only now it is sure that the table is still of the same model
        rows = arrow_table(store.schema, store.settings, known, attributes, vectors)
        if store.folder is None:
            # others may be adding the same
            merge = store.crops.merge_insert("hash").when_not_matched_insert_all()
            inserted = int(merge.execute(rows).num_inserted_rows)
        else:
            inserted = _append(store, rows)
        # rows that are still to be erased must stay where they are noted
        if store.is_scattered and not is_unfinished(store):
            store.compact()
    return inserted


def _append(store: Store, rows: pa.Table) -> int:
    """Add rows whose hashes are not there, nobody else being at it; the table is not read."""
    hashes = rows.column("hash").to_pylist()
    known = KnownHashes.of(store).among(hashes)
    first = {value: place for place, value in reversed(list(enumerate(hashes)))}
    new = [place for value, place in first.items() if value not in known]
    if new:
        store.crops.add(rows.take(pa.array(sorted(new), pa.int64())))
    return len(new)


def _hashes(store: Store) -> NDArray[np.bytes_]:
    """Return those of all crops, as `hash_bytes` does, ascending."""
    found = [
        hash_bytes(batch.column("hash").to_pylist())
        for batch in store.batches(store.query(["hash"]), 1 << 16)
    ]
    return np.sort(np.concatenate([np.empty(0, "S32"), *found]))


def _check_embeddings(store: Store, people: Embeddings) -> None:
    if people.model != store.settings.model_fingerprint:
        raise InputError(
            f"{store.where} holds vectors of the model {store.settings.model_name} "
            f"({store.settings.model_fingerprint[:12]}…), these embeddings are of another one "
            f"({people.model[:12]}…): embed the crops with the gallery's."
        )
    names = () if people.schema is None else people.schema.names
    if names != tuple(attribute_columns(store.settings)):
        raise InputError(
            f"These embeddings have other attributes than {store.where}: embed the crops with the "
            "gallery's model."
        )
    if people.flip:
        raise InputError(
            "These embeddings were averaged with mirror images, a gallery's are not: embed the "
            "crops again without `flip`."
        )


def commit_all(
    store: Store,
    model: RuntimeModel | None,
    ready: Iterator[HashedCrop | InputError],
    added: Added,
    on_broken: OnBroken | None,
) -> Iterator[int]:
    """Embed and commit; yield how many crops are done."""
    done = 0
    while chunk := list(islice(ready, COMMIT_ROWS)):
        broken = [crop for crop in chunk if isinstance(crop, InputError)]
        unique: dict[str, HashedCrop] = {}
        for crop in chunk:
            if isinstance(crop, HashedCrop):
                # of several files of the same content the first one says what is known
                unique.setdefault(crop.hash, crop)
        known = KnownHashes.of(store).among(list(unique))
        # what was there when a worker looked has not been embedded, and may have been erased since
        new = [
            crop
            for crop in unique.values()
            if crop.hash not in known and isinstance(crop, PreparedCrop | EmbeddedCrop)
        ]
        inserted = _embedded_and_committed(store, model, new) if new else 0
        added.rows += inserted
        added.known += len(chunk) - len(broken) - inserted
        added.hashes += unique
        added.broken += map(str, broken)
        report_broken(broken, on_broken)
        done += len(chunk)
        yield done


def _path(crop: HashedCrop) -> str | None:
    return str(crop.path.absolute()) if crop.keeps_path else None


def _embedded_and_committed(
    store: Store, model: RuntimeModel | None, crops: Sequence[PreparedCrop | EmbeddedCrop]
) -> int:
    vectors, attributes = _answers(model, crops)
    now = datetime.now(UTC)
    known: dict[str, Sequence[Any]] = {
        column.name: [crop.known.get(column.name) for crop in crops]
        for column in known_columns(store.schema)
    }
    known |= {
        "hash": [crop.hash for crop in crops],
        "path": [_path(crop) for crop in crops],
        "frame": [crop.frame for crop in crops],
        "added": [now] * len(crops),
        "thumbnail": [crop.thumbnail for crop in crops],
    }
    return commit(store, known, attributes, vectors)


def _answers(model: RuntimeModel | None, crops: Sequence[PreparedCrop | EmbeddedCrop]) -> Answers:
    """Return embeddings and probabilities: those that are known, or the model's."""
    embedded = [crop for crop in crops if isinstance(crop, EmbeddedCrop)]
    if len(embedded) == len(crops):
        told = [crop.attributes for crop in embedded if crop.attributes is not None]
        return np.stack([crop.vector for crop in embedded]), np.stack(told) if told else None
    assert model is not None
    return embed_prepared(model, [crop for crop in crops if isinstance(crop, PreparedCrop)])

"""Adding crops: each once, by the hash of its file, whoever adds it and however often."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.decoding import Pixels, decode_bytes, map_ahead, read_file, resize
from passerby.errors import InputError
from passerby.gallery.audit import Entry
from passerby.gallery.erasing import is_unfinished
from passerby.gallery.settings import Settings
from passerby.gallery.sightings import Sighting, is_text
from passerby.gallery.store import Store
from passerby.gallery.table_schema import arrow_table, hash_filter
from passerby.gallery.thumbnails import thumbnail
from passerby.inference.runtime_model import OnBroken, Progress, RuntimeModel, report_broken

COMMIT_ROWS = 1024
"""Rows that are committed together: after each commit they survive whatever happens."""

_MODEL_ROWS = 64
_AHEAD = 256


@dataclass(frozen=True)
class Prepared:
    """A crop ready for the model.

    Attributes:
        sighting: what is known about it.
        hash: SHA-256 of the file, in hexadecimal digits.
        pixels: as the model sees them.
        thumbnail: JPEG; None if the gallery keeps none.
    """

    sighting: Sighting
    hash: str
    pixels: Pixels
    thumbnail: bytes | None


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
    model: RuntimeModel,
    sightings: Sequence[Sighting],
    *,
    on_broken: OnBroken | None = None,
    progress: Progress | None = None,
    reason: str | None = None,
    who: str | None = None,
) -> Added:
    """Add crops; those that are there already stay as they are.

    Args:
        store: the gallery.
        model: whose vectors it holds.
        sightings: the crops.
        on_broken: called with what is wrong with each crop that cannot be decoded; without it
            the first one stops the work. What was committed before stays.
        progress: called with (crops done, all crops): those are in the gallery for good.
        reason, who: for the audit log.

    Raises:
        InputError: the gallery holds another model's vectors, a crop cannot be decoded, or the
            gallery cannot be written to.
    """
    prepare = partial(prepare_crop, settings=store.settings)
    ready = map_ahead(partial(_prepared_file, prepare=prepare), sightings, ahead=_AHEAD)
    added = Added()
    try:
        for done in _committed(store, model, ready, added, on_broken):
            if progress:
                progress(done, len(sightings))
    finally:
        if added.rows:
            store.audit.append(Entry.now("add", added.rows, reason, who))
    return added


def prepare_crop(content: bytes, sighting: Sighting, settings: Settings) -> Prepared:
    """Make a crop ready for the model of a gallery.

    Args:
        content: of the image file.
        sighting: what is known about it.
        settings: of the gallery.

    Raises:
        InputError: it cannot be decoded.
    """
    pixels = decode_bytes(content, str(sighting.path))
    return Prepared(
        sighting,
        hashlib.sha256(content).hexdigest(),
        resize(pixels, (settings.height, settings.width)),
        thumbnail(pixels) if settings.images == "thumbnails" else None,
    )


@dataclass(frozen=True)
class AddRequest:
    """Crops that one client adds.

    Attributes:
        crops: as `prepare_crop` returned them.
        reason, who: for the audit log.
    """

    crops: Sequence[Prepared]
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
        InputError: the gallery holds another model's vectors, or cannot be written to.
    """
    store.settings.check_model(model.info, store.where)
    unique: dict[str, Prepared] = {}
    for batch in batches:
        for crop in batch.crops:
            unique.setdefault(crop.hash, crop)
    known = _known(store, list(unique))
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
    attributes: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> int:
    """Add rows in one commit, but those whose hash is in the gallery; return how many.

    Args:
        store: the gallery.
        known: the other columns, N values each.
        attributes: probabilities, shape (N, attributes).
        vectors: embeddings, shape (N, D).
    """
    rows = arrow_table(store.settings, known, attributes, vectors)
    with store.committing():
        result = store.crops.merge_insert("hash").when_not_matched_insert_all().execute(rows)
        # rows that are still to be erased must stay where they are noted
        if store.is_scattered and not is_unfinished(store):
            store.compact()
    return int(result.num_inserted_rows)


def _prepared_file(
    sighting: Sighting, prepare: Callable[[bytes, Sighting], Prepared]
) -> Prepared | InputError:
    try:
        if not is_text(str(sighting.path)):
            raise InputError(f"{str(sighting.path)!r} is not named in UTF-8: rename it.")
        return prepare(read_file(sighting.path), sighting)
    except InputError as error:
        # a fresh one: the traceback would keep the file's bytes alive
        return InputError(str(error))


def _committed(
    store: Store,
    model: RuntimeModel,
    ready: Iterator[Prepared | InputError],
    added: Added,
    on_broken: OnBroken | None,
) -> Iterator[int]:
    """Embed and commit; yield how many crops are done."""
    store.settings.check_model(model.info, store.where)
    done = 0
    while chunk := list(islice(ready, COMMIT_ROWS)):
        broken = [crop for crop in chunk if isinstance(crop, InputError)]
        unique: dict[str, Prepared] = {}
        for crop in chunk:
            if isinstance(crop, Prepared):
                # of several files of the same content the first one says what is known
                unique.setdefault(crop.hash, crop)
        known = _known(store, list(unique))
        new = [crop for crop in unique.values() if crop.hash not in known]
        inserted = _embedded_and_committed(store, model, new) if new else 0
        added.rows += inserted
        added.known += len(chunk) - len(broken) - inserted
        added.hashes += unique
        added.broken += map(str, broken)
        report_broken(broken, on_broken)
        done += len(chunk)
        yield done


def _path(sighting: Sighting) -> str | None:
    return str(sighting.path.absolute()) if sighting.keeps_path else None


def _known(store: Store, hashes: list[str]) -> set[str]:
    if not hashes:
        return set()
    return set(store.read(store.query(["hash"], hash_filter(hashes))).column("hash").to_pylist())


def _embedded_and_committed(store: Store, model: RuntimeModel, crops: list[Prepared]) -> int:
    pixels = np.stack([crop.pixels for crop in crops])
    answers = [
        model.run(pixels[start : start + _MODEL_ROWS])
        for start in range(0, len(crops), _MODEL_ROWS)
    ]
    vectors, attributes = (np.concatenate(part) for part in zip(*answers, strict=True))
    now = datetime.now(UTC)
    known: dict[str, Sequence[Any]] = {
        "hash": [crop.hash for crop in crops],
        "path": [_path(crop.sighting) for crop in crops],
        "person": [crop.sighting.person for crop in crops],
        "camera": [crop.sighting.camera for crop in crops],
        "time": [crop.sighting.time for crop in crops],
        "source": [crop.sighting.source for crop in crops],
        "added": [now] * len(crops),
        "thumbnail": [crop.thumbnail for crop in crops],
    }
    return commit(store, known, attributes, vectors)

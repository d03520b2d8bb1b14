"""Galleries of made-up embeddings, clustered like persons."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery.adding import commit
from passerby.gallery.searching import Query
from passerby.gallery.settings import Settings
from passerby.gallery.store import Store
from passerby.gallery.table_schema import EMBEDDING, vectors_of
from passerby.inference import Decision
from synthetic import at_length_1, embedded

CROPS_PER_PERSON = 15
NOISE = 1.0
"""Crops of one person are a distance of about 1 apart, of two persons √2."""

CAMERAS = 50
FILTER = "camera = 7"
"""One row in fifty passes it."""


def settings(width: int) -> Settings:
    """Return the settings of a gallery whose vectors have so many numbers."""
    return Settings(
        model_name="made-up",
        model_fingerprint="0" * 64,
        schema_=MARKET1501_ATTRIBUTES,
        tasks=("attributes", "identity"),
        decision=Decision("group"),
        embedding_size=width,
        height=128,
        width=64,
        images="paths",
        created=datetime.now(UTC),
    )


def filled(place: Path, rows: int, width: int) -> Store:
    """Make a gallery."""
    store = Store.create(str(place), settings(width))
    done = 0
    for batch in embeddings(rows, width):
        add(store, batch, done)
        done += len(batch)
    with store.committing():
        store.clean_up()
    return store


def embeddings(rows: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Yield embeddings, those of one person not side by side."""
    rng = np.random.default_rng(0)
    persons = rows // CROPS_PER_PERSON
    size = 4096 if rows > 200_000 else 1024
    for start in range(0, rows, size):
        looks = rng.integers(0, persons, min(size, rows - start))
        # a centre is drawn from its person's number: they do not fit into memory together
        names, places = np.unique(looks, return_inverse=True)
        drawn = [np.random.default_rng(name).standard_normal(width, np.float32) for name in names]
        centres = at_length_1(np.stack([np.zeros(width, np.float32), *drawn])[1:])
        padded = np.concatenate([np.zeros((1, width), np.float32), centres])
        yield embedded(rng, padded, places + 1, NOISE)


def add(store: Store, vectors: NDArray[np.float32], start: int) -> list[str]:
    """Add rows, which are made of the number of the first; return their hashes."""
    count = len(vectors)
    rng = np.random.default_rng(start)
    hashes = [rng.bytes(32).hex() for _ in range(count)]
    known: dict[str, Sequence[Any]] = {
        "hash": hashes,
        "path": [f"crops/{start + number:09d}.jpg" for number in range(count)],
        "camera": [str(camera) for camera in rng.integers(0, CAMERAS, count)],
        "added": [datetime.now(UTC)] * count,
    }
    attributes = rng.random((count, len(MARKET1501_ATTRIBUTES)), np.float32)
    commit(store, known, attributes, vectors)
    return hashes


def some_vectors(store: Store, count: int, seed: int = 1) -> NDArray[np.float32]:
    """Return vectors of rows drawn at random, to search with."""
    rows = np.random.default_rng(seed).choice(store.crops.count_rows(), count, replace=False)
    return vectors_of(store.at(np.sort(rows).tolist(), [EMBEDDING]))


def query(vector: NDArray[np.float32]) -> Query:
    """Return a query with attributes of which nothing is known."""
    return Query(vector, np.full(len(MARKET1501_ATTRIBUTES), 0.5, np.float32))

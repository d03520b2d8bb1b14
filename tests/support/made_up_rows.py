"""Rows of a gallery that belong to no picture, made of their numbers."""

import hashlib
from datetime import UTC, datetime

import numpy as np

from passerby.gallery.adding import commit
from passerby.gallery.store import Store


def hash_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def add(store: Store, numbers: range) -> None:
    """Add a row for each number."""
    size = store.settings.embedding_size
    vectors = np.stack([np.random.default_rng(n).standard_normal(size) for n in numbers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = {
        "hash": [hash_of(number) for number in numbers],
        "camera": [str(number % 3) for number in numbers],
        "added": [datetime.now(UTC)] * len(numbers),
    }
    attributes = np.full((len(numbers), len(store.settings.schema_)), 0.5, np.float32)
    commit(store, known, attributes, vectors.astype(np.float32))

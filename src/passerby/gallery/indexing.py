"""An index for large galleries: built on request, measured against exact search, kept fresh.

Exact search reads every vector. The index (IVF: vectors in clusters, of which a search reads the
nearest few, whole and uncompressed) reads a fraction of them; what it loses is measured on the
gallery's own crops, with and without a filter, and the number of clusters read is chosen by that.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from passerby.errors import InputError
from passerby.gallery.store import Store
from passerby.gallery.table_schema import EMBEDDING, vectors_of

LEAST_ROWS = 10_000
"""Of fewer rows exact search is as fast."""

_NAME = f"{EMBEDDING}_idx"
_KEY = "passerby.index"
_QUERIES = 24
_NEAREST = 20
_WANTED_RECALL = 0.99
_LEAST_SPEED = 1.2
"""An index that is not that many times as fast is not worth its files."""

_DRIFT = 0.2
"""With more than this share of the rows added since, the clusters are made anew."""


@dataclass(frozen=True)
class Index:
    """An index as it was measured.

    Attributes:
        partitions: clusters.
        probes: clusters that a search reads.
        recall: fraction of the exact search's nearest 20 that it finds, mean over queries.
        speed: time of the exact search over its own.
        rows: in the gallery when it was built.
    """

    partitions: int
    probes: int
    recall: float
    speed: float
    rows: int

    def used(self, search: Any) -> Any:
        """Return a search that uses the index."""
        return search.minimum_nprobes(self.probes).maximum_nprobes(self.probes)


def index_of(store: Store) -> Index | None:
    """Return the gallery's index, None if it has none."""
    text = store.annotation(_KEY)
    return None if text is None else Index(**json.loads(text))


def build_index(store: Store) -> Index | None:
    """Build the index anew, or drop it if it does not pay.

    The number of clusters read is the smallest that finds 99 % of what exact search finds, with
    and without a filter that one row in fifty passes.

    Returns:
        The index; None if it would be no faster, in which case there is none.

    Raises:
        InputError: the gallery is too small.
    """
    rows = store.count()
    if rows < LEAST_ROWS:
        raise InputError(
            f"{store.where} holds {rows:,} crops: an index pays from about {LEAST_ROWS:,} on, "
            "exact search is as fast below that."
        )
    partitions = 2 ** round(math.log2(math.sqrt(rows)))
    with store.committing():
        drop_index(store)
        store.crops.create_index(
            metric="l2",
            vector_column_name=EMBEDDING,
            index_type="IVF_FLAT",
            num_partitions=partitions,
            sample_rate=64,
            max_iterations=15,
            name=_NAME,
        )
    index = _measured(store, partitions, rows)
    with store.committing():
        if index is None:
            drop_index(store)
        else:
            store.annotate(_KEY, json.dumps(asdict(index)))
        store.clean_up()
    return index


def drop_index(store: Store) -> None:
    """Remove the index, if there is one; to be called while `committing`."""
    for known in store.crops.list_indices():
        if known.name == _NAME:
            store.crops.drop_index(_NAME)
    store.annotate(_KEY, None)


def has_drifted(store: Store) -> bool:
    """Tell whether so many rows were added since that the index should be built anew."""
    index = index_of(store)
    return index is not None and store.count() > (1 + _DRIFT) * index.rows


def _measured(store: Store, partitions: int, rows: int) -> Index | None:
    vectors = _some_vectors(store, rows)
    # the first digits of a hash are random
    filters = [None, "hash < '051'"]
    started = time.perf_counter()
    exact = [[_found(store, vector, where, None) for vector in vectors] for where in filters]
    exact_seconds = time.perf_counter() - started
    probes = 1
    while probes <= partitions:
        index = Index(partitions, probes, 0, 0, rows)
        started = time.perf_counter()
        found = [[_found(store, vector, where, index) for vector in vectors] for where in filters]
        speed = exact_seconds / (time.perf_counter() - started)
        recall = min(
            float(np.mean([len(a & b) / max(1, len(a)) for a, b in zip(e, f, strict=True)]))
            for e, f in zip(exact, found, strict=True)
        )
        if recall >= _WANTED_RECALL:
            paid = speed >= _LEAST_SPEED
            return Index(partitions, probes, recall, speed, rows) if paid else None
        probes *= 2
    return None


def _some_vectors(store: Store, rows: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    chosen = np.sort(generator.choice(rows, min(_QUERIES, rows), replace=False))
    return vectors_of(store.at(chosen.tolist(), [EMBEDDING]))


def _found(store: Store, vector: np.ndarray, where: str | None, index: Index | None) -> set[str]:
    search = store.nearest(vector, ["hash"], where, _NEAREST)
    search = search.bypass_vector_index() if index is None else index.used(search)
    return set(store.read(search).column("hash").to_pylist())

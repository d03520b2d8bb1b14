"""Searching by photo in memory, beside NumPy's product of all vectors with the query."""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from gallery_made_up import FILTER, add, embeddings, filled, query, some_vectors
from passerby.calibration import AnswerRule
from passerby.data.query_language import parse_query
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery.answers import AnswerSet
from passerby.gallery.erasing import erase
from passerby.gallery.memory import VectorMemory
from passerby.gallery.searching import search, search_several
from passerby.gallery.store import Store
from passerby.gallery.table_schema import hash_filter, vectors_of

NEAREST = AnswerRule("top_k", 20)
CONDITION = parse_query(FILTER, MARKET1501_ATTRIBUTES)

BARS = {"single": 1.5, "half": 1.0}
"""Times as long as NumPy's product may a search in memory take."""

AT_ONCE = 100
LEAST_RATE = 10
ADDED, ERASED = 1000, 100


def searching(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Measure on one core; answers are compared with those of double precision.

    Processes are held to it from their beginning, so that libraries start no more threads than
    that; and one fills the gallery, another one opens and searches it.
    """
    rows = options.rows or 100_000
    os.sched_setaffinity(0, {0})
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        processes.submit(_fill, place, rows, options.width).result()
        return processes.submit(_measured, place, options.quick).result()


def _measured(place: Path, quick: bool) -> dict[str, Any]:
    store = Store.open(str(place))
    queries = some_vectors(store, 40)
    found: dict[str, Any] = {
        "rows": store.count(),
        "width": store.settings.embedding_size,
        "queries": len(queries),
    }
    if not quick:
        found["table_ms"] = _median(queries[:10], lambda vector: _ours(store, vector))
    for precision in ["single", *(["half"] if find_spec("faiss") else [])]:
        found[precision] = _in_memory(store, precision, queries, quick)
    return _rounded(found)


def _fill(place: Path, rows: int, width: int) -> None:
    filled(place, rows, width)


def _in_memory(
    store: Store,
    precision: str,
    queries: NDArray[np.float32],
    quick: bool,
) -> dict[str, Any]:
    # those before may have changed it
    table = store.crops.to_arrow()
    vectors = vectors_of(table)
    hashes = np.array(table.column("hash").to_pylist())
    cameras = np.array(table.column("camera").to_pylist())
    del table
    process = psutil.Process()
    if precision == "half":
        import_module("faiss")
    pa.default_memory_pool().release_unused()
    before = process.memory_info().rss
    started = time.perf_counter()
    memory = VectorMemory(store, precision)
    seconds = time.perf_counter() - started
    kept = vectors.size * (2 if precision == "half" else 4)
    pa.default_memory_pool().release_unused()
    held = process.memory_info().rss - before
    among = np.flatnonzero(cameras == "7")
    for vector in queries:
        for filtered, rows in ((False, None), (True, among)):
            answers = _ours(store, vector, memory, filtered).answers
            expected = _by_numpy(vectors, hashes, vector, rows)
            assert [answer.hash for answer in answers] == expected, "not what NumPy finds"
    # other queries, whose answers were not shown before; in turns, as what else the machine does
    # slows both
    queries = some_vectors(store, len(queries), seed=2)
    pairs = [
        (_ms(partial(_highest, vectors, vector)), _ms(partial(_ours, store, vector, memory)))
        for vector in queries
    ]
    found: dict[str, Any] = {
        "numpy_ms": statistics.median(numpy for numpy, _ in pairs),
        "ms": statistics.median(ours for _, ours in pairs),
        "ratio": statistics.median(ours / numpy for numpy, ours in pairs),
        "filtered_ms": _median(queries, lambda vector: _ours(store, vector, memory, True)),
        "load_seconds": seconds,
        "memory_ratio": held / kept,
        "equal": True,
    }
    if not quick:
        found |= _several(store, memory, found["ms"])
        found |= _changes(store, memory, queries, found["ms"])
    memory.close()
    return found


def _several(store: Store, memory: VectorMemory, single_ms: float) -> dict[str, Any]:
    """Search for many persons at once; tell how many times as fast as one after the other."""
    asked = [query(vector) for vector in some_vectors(store, AT_ONCE)]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        search_several(store, asked, None, NEAREST, memory=memory)
        times.append((time.perf_counter() - started) * 1e3)
    together = statistics.median(times)
    return {"at_once_ms": together, "at_once_rate": AT_ONCE * single_ms / together}


def _changes(
    store: Store, memory: VectorMemory, queries: NDArray[np.float32], single_ms: float
) -> dict[str, Any]:
    """Let another process add and erase; tell how much longer the next search takes."""
    longer: dict[str, list[float]] = {"after_adding_ms": [], "after_erasing_ms": []}
    spawn = multiprocessing.get_context("spawn")
    for number in range(3):
        # rows are made of this number, which no others are
        start = 10_000_000 + store.count()
        for name, change, rows in (
            ("after_adding_ms", _add_rows, ADDED),
            ("after_erasing_ms", _erase_rows, -ERASED),
        ):
            expected = store.count() + rows
            process = spawn.Process(target=change, args=(store.where, start, len(queries[0])))
            process.start()
            process.join()
            started = time.perf_counter()
            answers = _ours(store, queries[number], memory)
            longer[name].append((time.perf_counter() - started) * 1e3 - single_ms)
            assert answers.searched == expected, "a change was not seen"
    return {name: statistics.median(times) for name, times in longer.items()}


def _add_rows(where: str, start: int, width: int) -> None:
    (vectors,) = embeddings(ADDED, width)
    add(Store.open(where), vectors, start)


def _erase_rows(where: str, start: int, width: int) -> None:
    rng = np.random.default_rng(start)
    hashes = [rng.bytes(32).hex() for _ in range(ADDED)]
    erase(Store.open(where), hash_filter(hashes[:ERASED]))


def tell_quickly(found: dict[str, Any]) -> int:
    """Print the ratios; return 1 if one is beyond its bar."""
    beyond = False
    for precision, bar in BARS.items():
        if precision in found:
            ratio = found[precision]["ratio"]
            beyond |= ratio > bar
            print(f"{precision}: {ratio:.2f} × NumPy's product (at most {bar})")
    return int(beyond)


def _ours(
    store: Store,
    vector: NDArray[np.float32],
    memory: VectorMemory | None = None,
    filtered: bool = False,
) -> AnswerSet:
    condition = CONDITION if filtered else None
    return search(store, query(vector), condition, NEAREST, exact=True, memory=memory)


def _highest(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> Any:
    """What a search cannot do without: the product, and the choice of the highest 20."""
    scores = vectors @ vector
    highest = np.argpartition(scores, -20)[-20:]
    return highest[np.argsort(-scores[highest])]


def _by_numpy(
    vectors: NDArray[np.float32],
    hashes: NDArray[np.str_],
    vector: NDArray[np.float32],
    among: NDArray[np.int64] | None,
) -> list[str]:
    """Return the nearest 20 by distances in double precision."""
    rows = np.arange(len(vectors)) if among is None else among
    # rounding of single precision is far below the distance between two candidates
    near = np.argsort(-(vectors[rows] @ vector), kind="stable")[:100]
    away = np.sqrt(((vectors[rows[near]].astype(np.float64) - vector) ** 2).sum(axis=1))
    order = np.lexsort((hashes[rows[near]], away))[:20]
    found: list[str] = hashes[rows[near[order]]].tolist()
    return found


def _median(queries: NDArray[np.float32], work: Callable[[NDArray[np.float32]], Any]) -> float:
    """Return the median milliseconds, after a search that warms up."""
    work(queries[0])
    return statistics.median(_ms(partial(work, vector)) for vector in queries)


def _ms(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value

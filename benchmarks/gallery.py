"""The gallery beside what lies under it: the model alone, and the database's own search.

    python benchmarks/gallery.py adding --crops FOLDER [--model MODEL]
    python benchmarks/gallery.py memory
    python benchmarks/gallery.py searching [--rows 100000]
    python benchmarks/gallery.py index [--rows 1000000]

`adding` embeds the crops of a folder, with and without putting them into a gallery; the others use
made-up embeddings, clustered like persons. Each part is added to docs/results/gallery.json, from
which gallery.md is made.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from gallery_page import keep
from passerby.calibration import AnswerRule
from passerby.data.conditions import Condition
from passerby.data.query_language import parse_query
from passerby.datasets.finding import find_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery import Gallery
from passerby.gallery.adding import commit
from passerby.gallery.indexing import build_index
from passerby.gallery.searching import Query, search
from passerby.gallery.settings import Settings
from passerby.gallery.store import Store
from passerby.gallery.table_schema import EMBEDDING, vectors_of
from passerby.inference import Decision, RuntimeModel
from synthetic import at_length_1, embedded

WIDTH = 1280
"""Length of the vectors of EfficientNet-Lite0, the backbone of the model that ships."""

CROPS_PER_PERSON = 15
NOISE = 1.0
"""Crops of one person are a distance of about 1 apart, of two persons √2."""

NEAR = 1.2
"""The threshold of the answer sets."""

FILTER = "camera = 7"
CAMERAS = 50
"""So one row in fifty passes the filter."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        found = PARTS[options.part](options, Path(place) / "gallery")
    machine = f"{os.cpu_count()}-core {platform.machine()} CPU"
    keep(options.part, {**found, "machine": machine}, options.out)
    print(found)


# Adding


def adding(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    model = RuntimeModel.load(options.model)
    crops = find_crops([options.crops])
    model.embed(crops[:256])
    alone, stored = [], []
    for number in range(options.rounds):
        alone.append(_seconds(lambda: model.embed(crops)))
        gallery = Gallery.create(place.with_name(f"gallery-{number}"), model)
        stored.append(_seconds(partial(gallery.add, crops)))
    rates = [len(crops) / statistics.median(times) for times in (alone, stored)]
    return {
        "crops": len(crops),
        "model": model.info.name,
        "rounds": options.rounds,
        "embedding_per_second": round(rates[0], 1),
        "adding_per_second": round(rates[1], 1),
        "share": round(rates[1] / rates[0], 3),
    }


def memory(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    rows = options.rows or 200_000
    process = psutil.Process()
    store = Store.create(str(place), _settings())
    seen: dict[int, float] = {}
    done = 0
    for batch in _made_up(rows):
        _commit(store, batch, done)
        done += len(batch)
        if done % (rows // 10) < len(batch):
            seen[done] = round(process.memory_info().rss / 1e6)
    early = max(mb for count, mb in seen.items() if count <= rows * 0.3)
    late = max(mb for count, mb in seen.items() if count > rows * 0.7)
    return {"rows": rows, "mb_at_rows": seen, "early_mb": early, "late_mb": late}


# Searching


def searching(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    rows = options.rows or 100_000
    store = _filled(place, rows)
    queries = _queries(store, 40)
    raw = _medians(queries, lambda vector: _raw(store, vector, None))
    ours = _medians(queries, lambda vector: _ours(store, vector, None))
    filtered = _medians(queries, lambda vector: _ours(store, vector, FILTER))
    raw_filtered = _medians(queries, lambda vector: _raw(store, vector, FILTER))
    table = store.crops.to_arrow()
    vectors, hashes = vectors_of(table), np.array(table.column("hash").to_pylist())
    cameras = table.column("camera").to_numpy()
    for vector in queries:
        for where, among in ((None, None), (FILTER, np.flatnonzero(cameras == "7"))):
            expected = _by_numpy(vectors, hashes, vector, among)
            found = [answer.hash for answer in _ours(store, vector, where).answers]
            assert found == expected, "not what NumPy finds"
    return {
        "rows": rows,
        "queries": len(queries),
        "raw_ms": round(raw, 1),
        "ours_ms": round(ours, 1),
        "ratio": round(ours / raw, 3),
        "filtered_ms": round(filtered, 1),
        "raw_filtered_ms": round(raw_filtered, 1),
        "filtered_ratio": round(filtered / ours, 3),
        "equal_to_numpy": True,
    }


def index(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    rows = options.rows or 1_000_000
    store = _filled(place, rows)
    seconds = _seconds(lambda: build_index(store))
    queries = _queries(store, 30)
    found: dict[str, Any] = {"rows": rows, "queries": len(queries), "seconds": round(seconds)}
    for title, where in (("plain", None), ("filtered", FILTER)):
        exact = _answer_sets(store, queries, where, exact=True)
        fast = _answer_sets(store, queries, where, exact=False)
        hits = [len(a & b) / len(a) for a, b in zip(exact[1], fast[1], strict=True) if a]
        found[title] = {
            "exact_ms": round(exact[0], 1),
            "index_ms": round(fast[0], 1),
            "speed": round(exact[0] / fast[0], 2),
            "recall": round(statistics.mean(hits), 4),
            "answers": round(statistics.mean(map(len, exact[1])), 1),
        }
    return found


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "adding": adding,
    "memory": memory,
    "searching": searching,
    "index": index,
}


def _raw(store: Store, vector: NDArray[np.float32], where: str | None) -> Any:
    query = store.crops.search(vector, vector_column_name=EMBEDDING).distance_type("l2")
    if where is not None:
        query = query.where(_parsed(where).sql({}), prefilter=True)
    return query.limit(20).to_arrow()


def _ours(store: Store, vector: NDArray[np.float32], where: str | None) -> Any:
    condition = None if where is None else _parsed(where)
    return search(store, _query(vector), condition, AnswerRule("top_k", 20), exact=True)


def _parsed(where: str) -> Condition:
    return parse_query(where, MARKET1501_ATTRIBUTES)


def _answer_sets(
    store: Store, queries: NDArray[np.float32], where: str | None, exact: bool
) -> tuple[float, list[set[str]]]:
    """Return the median milliseconds of a search, and the answer sets."""
    rule = AnswerRule("threshold", NEAR)
    condition = None if where is None else _parsed(where)
    times, sets = [], []
    for vector in queries:
        started = time.perf_counter()
        answers = search(store, _query(vector), condition, rule, exact=exact)
        times.append((time.perf_counter() - started) * 1e3)
        sets.append({answer.hash for answer in answers.answers})
    return statistics.median(times), sets


def _by_numpy(
    vectors: NDArray[np.float32],
    hashes: NDArray[np.str_],
    query: NDArray[np.float32],
    among: NDArray[np.int64] | None,
) -> list[str]:
    rows = np.arange(len(vectors)) if among is None else among
    # rounding of single precision is far below the distance between two candidates
    near = np.argsort(-(vectors[rows] @ query), kind="stable")[:100]
    away = np.sqrt(((vectors[rows[near]].astype(np.float64) - query) ** 2).sum(axis=1))
    order = np.lexsort((hashes[rows[near]], away))[:20]
    return hashes[rows[near[order]]].tolist()


# Made-up galleries


def _settings() -> Settings:
    return Settings(
        model_name="made-up",
        model_fingerprint="0" * 64,
        schema_=MARKET1501_ATTRIBUTES,
        tasks=("attributes", "identity"),
        decision=Decision("group"),
        embedding_size=WIDTH,
        height=128,
        width=64,
        images="paths",
        created=datetime.now(UTC),
    )


def _filled(place: Path, rows: int) -> Store:
    store = Store.create(str(place), _settings())
    done = 0
    for batch in _made_up(rows):
        _commit(store, batch, done)
        done += len(batch)
    with store.committing():
        store.clean_up()
    return store


def _made_up(rows: int) -> Iterator[NDArray[np.float32]]:
    """Yield embeddings, those of one person not side by side."""
    rng = np.random.default_rng(0)
    persons = rows // CROPS_PER_PERSON
    size = 4096 if rows > 200_000 else 1024
    for start in range(0, rows, size):
        looks = rng.integers(0, persons, min(size, rows - start))
        # a centre is drawn from its person's number: they do not fit into memory together
        names, places = np.unique(looks, return_inverse=True)
        drawn = [np.random.default_rng(name).standard_normal(WIDTH, np.float32) for name in names]
        centres = at_length_1(np.stack([np.zeros(WIDTH, np.float32), *drawn])[1:])
        padded = np.concatenate([np.zeros((1, WIDTH), np.float32), centres])
        yield embedded(rng, padded, places + 1, NOISE)


def _commit(store: Store, vectors: NDArray[np.float32], start: int) -> None:
    count = len(vectors)
    rng = np.random.default_rng(start)
    known: dict[str, Sequence[Any]] = {
        "hash": [rng.bytes(32).hex() for _ in range(count)],
        "path": [f"crops/{start + number:09d}.jpg" for number in range(count)],
        "camera": [str(camera) for camera in rng.integers(0, CAMERAS, count)],
        "added": [datetime.now(UTC)] * count,
    }
    attributes = rng.random((count, len(MARKET1501_ATTRIBUTES)), np.float32)
    commit(store, known, attributes, vectors)


def _queries(store: Store, count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(1).choice(store.crops.count_rows(), count, replace=False)
    chosen = store.crops.take_offsets(np.sort(rows).tolist()).select([EMBEDDING]).to_arrow()
    return vectors_of(chosen)


def _query(vector: NDArray[np.float32]) -> Query:
    return Query(vector, np.full(len(MARKET1501_ATTRIBUTES), 0.5, np.float32))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _medians(queries: NDArray[np.float32], work: Callable[[NDArray[np.float32]], Any]) -> float:
    """Return the median milliseconds, after a search that warms up."""
    work(queries[0])
    return statistics.median(_seconds(partial(work, vector)) * 1e3 for vector in queries)


if __name__ == "__main__":
    main()

"""The gallery beside what lies under it: the model alone, and NumPy's product of all vectors.

    python benchmarks/gallery.py adding --crops FOLDER [--model MODEL]
    python benchmarks/gallery.py memory
    python benchmarks/gallery.py searching [--rows 100000] [--width 512] [--quick]
    python benchmarks/gallery.py index [--rows 1000000]

`adding` embeds the crops of a folder, with and without putting them into a gallery; the others use
made-up embeddings, clustered like persons. `searching` runs on one core, beside the product of all
vectors with the query and the choice of the highest 20, in NumPy; `--quick` keeps nothing, and
exits 1 if searching in memory is too slow beside it. Each part is added to
docs/results/gallery.json, from which gallery.md is made.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from gallery_made_up import FILTER, add, embeddings, filled, query, settings, some_vectors
from gallery_page import keep
from gallery_searching import searching, tell_quickly
from passerby.calibration import AnswerRule
from passerby.data.query_language import parse_query
from passerby.datasets.finding import find_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery import Gallery
from passerby.gallery.indexing import build_index
from passerby.gallery.searching import search
from passerby.gallery.store import Store
from passerby.inference import RuntimeModel

NEAR = 1.2
"""The threshold of the answer sets."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--width", type=int, default=512, help="numbers of a vector")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="only tell if searching is fast")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        found = PARTS[options.part](options, Path(place) / "gallery")
    if options.quick:
        sys.exit(tell_quickly(found))
    machine = f"{os.cpu_count()}-core {platform.machine()} CPU"
    # of several sizes
    size = f"-{found['rows']}x{found['width']}" if options.part == "searching" else ""
    keep(options.part + size, {**found, "machine": machine}, options.out)
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
    store = Store.create(str(place), settings(options.width))
    seen: dict[int, float] = {}
    done = 0
    for batch in embeddings(rows, options.width):
        add(store, batch, done)
        done += len(batch)
        if done % (rows // 10) < len(batch):
            seen[done] = round(process.memory_info().rss / 1e6)
    early = max(mb for count, mb in seen.items() if count <= rows * 0.3)
    late = max(mb for count, mb in seen.items() if count > rows * 0.7)
    return {"rows": rows, "mb_at_rows": seen, "early_mb": early, "late_mb": late}


# The index


def index(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    rows = options.rows or 1_000_000
    store = filled(place, rows, options.width)
    seconds = _seconds(lambda: build_index(store))
    queries = some_vectors(store, 30)
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


def _answer_sets(
    store: Store, queries: NDArray[np.float32], where: str | None, exact: bool
) -> tuple[float, list[set[str]]]:
    """Return the median milliseconds of a search, and the answer sets."""
    rule = AnswerRule("threshold", NEAR)
    condition = None if where is None else parse_query(where, MARKET1501_ATTRIBUTES)
    times, sets = [], []
    for vector in queries:
        started = time.perf_counter()
        answers = search(store, query(vector), condition, rule, exact=exact)
        times.append((time.perf_counter() - started) * 1e3)
        sets.append({answer.hash for answer in answers.answers})
    return statistics.median(times), sets


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

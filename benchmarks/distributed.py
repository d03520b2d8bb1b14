"""Embedding by the workers of a Ray cluster beside the plain loop, and what large galleries need.

    python benchmarks/distributed.py --crops FOLDER [--count 4000] [--rounds 3]

Two workers of one core each embed crops beside a plain loop held to one core, in turns, each in a
process of its own; what passes before the first answers is not counted. The one writer is measured
with rows that are embedded already. From these figures follow machines, memory and disk for a
million and for a hundred million crops. Results: docs/results/distributed.json and .md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gallery_made_up import embeddings, settings
from passerby.data import Crops
from passerby.datasets.finding import find_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.files import write_json, write_text
from passerby.gallery import Gallery
from passerby.gallery.adding import COMMIT_ROWS, Added, commit_all
from passerby.gallery.preparing import EmbeddedCrop
from passerby.gallery.store import Store
from passerby.inference import RuntimeModel, embed_to_folder
from passerby.inference.cluster import Cluster

COMMAND = "python benchmarks/distributed.py --crops FOLDER"
WORKERS = 2
BAR = 1.3
SIZES = (10**6, 10**8)
CORES = 16
"""Of a machine, in the table of what large galleries need."""

_WRITTEN = 51_200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--child", choices=["plain", "ray"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options)))
        return
    rates: dict[str, list[float]] = {"plain": [], "ray": []}
    memory: dict[str, int] = {}
    for turn in range(options.rounds):
        for way in ("plain", "ray") if turn % 2 == 0 else ("ray", "plain"):
            found = measured(way)
            rates[way].append(found["rate"])
            memory |= found["memory_mb"]
            print(way, found, file=sys.stderr)
    found = {
        "machine": f"{os.cpu_count()}-core {platform.machine()} CPU",
        "crops": options.count,
        "rounds": options.rounds,
        "model": RuntimeModel.load(options.model).info.name,
        "rates": {way: [round(rate, 1) for rate in values] for way, values in rates.items()},
        "ratio": round(statistics.median(rates["ray"]) / statistics.median(rates["plain"]), 2),
        "memory_mb": memory,
        **sizes(options),
    }
    write_json(options.out / "distributed.json", found)
    write_text(options.out / "distributed.md", page(found))
    print(found)


def measured(way: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", *sys.argv, "--child", way]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Embed all crops; what is done when the first answers come is not counted."""
    crops = find_crops([options.crops])[: options.count]
    by_ray = options.child == "ray"
    if not by_ray:
        os.sched_setaffinity(0, {0})
    model = RuntimeModel.load(options.model, threads=1)
    cluster = Cluster("local", WORKERS) if by_ray else nullcontext()
    seen: list[tuple[int, float]] = []
    memory: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place, cluster as opened:

        def progress(done: int, _: int) -> None:
            seen.append((done, time.perf_counter()))
            if by_ray:
                memory["worker"] = max([memory.get("worker", 0), *worker_memory()])

        embed_to_folder(model, crops, Path(place) / "out", cluster=opened, progress=progress)
    # each worker has returned something, and the others' are hardly begun
    (before, started), (done, ended) = seen[WORKERS - 1], seen[-1]
    if by_ray:
        memory["driver"] = round(psutil.Process().memory_info().rss / 1e6)
    return {"rate": (done - before) / (ended - started), "memory_mb": memory}


def worker_memory() -> Iterator[int]:
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("ray::Map"):
                yield round(process.memory_info().rss / 1e6)
        except psutil.Error:
            continue


def sizes(options: argparse.Namespace) -> dict[str, Any]:
    """Measure bytes a crop, on disk and in this process, and how fast the one writer is."""
    model = RuntimeModel.load(options.model)
    crops = find_crops([options.crops])[:COMMIT_ROWS]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        embed_to_folder(model, crops, folder / "embeddings")
        gallery = Gallery.create(folder / "gallery", model)
        gallery.add(crops)
        thumbnails = [gallery.thumbnail(row["hash"]) or b"" for row in gallery.rows()]
        size = round(statistics.mean(map(len, thumbnails)))
        written = {
            "embeddings_bytes": bytes_of(folder / "embeddings") // len(crops),
            "gallery_bytes": bytes_of(folder / "gallery") // gallery.count(),
        }
        written["written_per_second"] = writing(folder / "written", model, size)
    tracemalloc.start()
    table = Crops(
        [Path(f"crops/{number // 1000:06d}/{number:012d}.jpg") for number in range(100_000)],
        camera=[str(number % 50) for number in range(100_000)],
    )
    held = tracemalloc.get_traced_memory()[0] // len(table)
    tracemalloc.stop()
    return {**written, "table_bytes": held, "width": model.info.embedding_size}


def writing(place: Path, model: RuntimeModel, thumbnail: int) -> int:
    """Return how many rows a second are committed that are embedded already."""
    store = Store.create(
        str(place), settings(model.info.embedding_size).model_copy(update={"images": "thumbnails"})
    )
    rng = np.random.default_rng(0)
    seconds = 0.0
    for batch in embeddings(_WRITTEN, model.info.embedding_size):
        count = len(batch)
        attributes = rng.random((count, len(MARKET1501_ATTRIBUTES)), np.float32)
        rows = [
            EmbeddedCrop(
                Path(f"crops/{number:012d}.jpg"),
                {"camera": str(number % 50)},
                True,
                rng.bytes(32).hex(),
                None,
                rng.bytes(thumbnail),
                batch[number],
                attributes[number],
            )
            for number in range(count)
        ]
        started = time.perf_counter()
        assert list(commit_all(store, None, iter(rows), Added(), None)) == [count]
        seconds += time.perf_counter() - started
    return round(_WRITTEN / seconds)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def page(found: dict[str, Any]) -> str:
    plain, by_ray = (statistics.median(found["rates"][way]) for way in ("plain", "ray"))
    a_core = by_ray / WORKERS
    lines = [
        "# Many machines",
        "",
        f"Generated by `{COMMAND}`; [distributed.json](distributed.json). {found['crops']:,} crops "
        f"of Market-1501, model {found['model']}, {found['machine']}; medians of "
        f"{found['rounds']} rounds in turns, each in a process of its own. What passes before the "
        "first answers is not counted.",
        "",
        "| | crops/s | ratio |",
        "| --- | --- | --- |",
        f"| the plain loop, on one core | {plain:.0f} | 1 |",
        f"| {WORKERS} workers of one core each, and the process that writes, on these two cores "
        f"| {by_ray:.0f} | {found['ratio']:.2f} (asked {BAR}) |",
        f"| the one writer of a gallery, of rows that are embedded already "
        f"| {found['written_per_second']:,} | |",
        "",
        "| | bytes |",
        "| --- | --- |",
        f"| embeddings on disk, a crop | {found['embeddings_bytes']:,} |",
        f"| gallery with thumbnails, a crop | {found['gallery_bytes']:,} |",
        f"| the table of crops in the process that writes, a crop | {found['table_bytes']:,} |",
        f"| a worker | {found['memory_mb']['worker']:,} million |",
        f"| the process that writes, at {found['crops']:,} crops "
        f"| {found['memory_mb']['driver']:,} million |",
        "",
        "## What large galleries need",
        "",
        f"Follows from the figures above; machines of {CORES} such cores.",
        "",
        "| crops | " + " | ".join(f"{size:,}" for size in SIZES) + " |",
        "| --- | " + " | ".join("---" for _ in SIZES) + " |",
    ]
    rows = {
        "days of one core": lambda n: f"{n / a_core / 86_400:,.1f}",
        f"hours of 1 / 10 machines of {CORES} cores": lambda n: " / ".join(
            f"{n / rate_of(machines, a_core, found) / 3600:,.1f}" for machines in (1, 10)
        ),
        "embeddings on disk, GB": lambda n: f"{n * found['embeddings_bytes'] / 1e9:,.0f}",
        "gallery with thumbnails, GB": lambda n: f"{n * found['gallery_bytes'] / 1e9:,.0f}",
        "table of crops while it is written, GB": lambda n: (
            f"{n * found['table_bytes'] / 1e9:,.1f}"
        ),
        "hashes that each worker knows, GB": lambda n: f"{n * 32 / 1e9:,.2f}",
        "memory of a search, single / half precision, GB": lambda n: (
            f"{n * found['width'] * 4 / 1e9:,.0f} / {n * found['width'] * 2 / 1e9:,.0f}"
        ),
    }
    for title, told in rows.items():
        lines.append(f"| {title} | " + " | ".join(told(size) for size in SIZES) + " |")
    lines += [
        "",
        f"The writer keeps up with {found['written_per_second'] / a_core:.0f} cores; more do not "
        "make it faster. [What stops working where](../scaling.md).",
        "",
    ]
    return "\n".join(lines)


def rate_of(machines: int, a_core: float, found: dict[str, Any]) -> float:
    return min(machines * CORES * a_core, float(found["written_per_second"]))


if __name__ == "__main__":
    main()

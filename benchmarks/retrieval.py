"""Retrieval metrics beside those of the peers, and on galleries that they cannot hold.

    python benchmarks/retrieval.py [--torchreid-python PYTHON] [--reid-python PYTHON]

Measures the way from embeddings to top-1/5/10 and mAP (distances included) on made-up embeddings
of Market-1501's size; then ours alone with more and more distractors. Every measurement is a
process of its own, all take turns, medians are compared. The peers, torchreid's compiled evaluator
and Roboflow's reid, share an environment (6 GB, as they bring PyTorch; with Python 3.11, say):

    python -m venv peers
    peers/bin/pip install -c constraints.txt pyppbox-torchreid==1.4.1.0 reid==0.1.0rc1

PYTHON is then peers/bin/python, twice; a peer that is left out is "not measured".
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The interpreters of the peers run this file too: passerby is imported only where it is used.

WIDTH, CAMERAS = 512, 6
NOISE, SPREAD = 2.0, 0.5
"""Median length of a crop's noise, its person's centre having length 1, and the standard deviation
of the length's logarithm: mAP is about 0.7."""
AGREED = 1e-6
"""More cannot be asked: torchreid adds the average precisions up in float32."""
FIGURES = ("map", "top1", "top5", "top10")
COMMAND = "python benchmarks/retrieval.py --torchreid-python PYTHON --reid-python PYTHON"


@dataclass(frozen=True)
class Sizes:
    """Market-1501's test set; `gallery` counts the crops of the real persons."""

    persons: int = 750
    queries: int = 3368
    gallery: int = 13115
    distractors: int = 2798
    junk: int = 3819

    def part(self, share: float) -> "Sizes":
        return Sizes(**{name: math.ceil(count * share) for name, count in asdict(self).items()})


@dataclass(frozen=True)
class Crops:
    """Embeddings float32 (N, 512), of length 1; persons (0 distractor, -1 junk), cameras int64."""

    embeddings: NDArray[np.float32]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Crops":
        return Crops(self.embeddings[rows], self.persons[rows], self.cameras[rows])


Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torchreid-python", help="an interpreter that has pyppbox-torchreid")
    parser.add_argument("--reid-python", help="an interpreter that has Roboflow's reid")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--distractors", type=int, nargs="*", default=[100_000, 250_000, 500_000],
        help="how many to add, for ours alone",
    )  # fmt: skip
    parser.add_argument("--scaling-rounds", type=int, default=2)
    parser.add_argument("--part", type=float, default=1.0, help="share of Market-1501's size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for retrieval.json and retrieval.md")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    results = measured(options)
    text = page(results)
    print(text)
    if options.out:
        from passerby.files import write_json, write_text

        write_json(options.out / "retrieval.json", results)
        write_text(options.out / "retrieval.md", text)


# The contenders


def ours(queries: Crops, gallery: Crops) -> Scores:
    import numpy as np

    from passerby.data import COURSE
    from passerby.data import Crops as Table
    from passerby.embedding import Embeddings
    from passerby.evaluation import evaluate_retrieval
    from passerby.ranking import Distance

    def embedded(crops: Crops) -> Embeddings:
        count = len(crops.persons)
        table = Table(
            (Path("crop.jpg"),) * count,
            crops.persons.astype(np.int64),
            crops.cameras.astype(np.int64),
        )
        attributes = np.zeros((count, len(COURSE)), np.float32)
        return Embeddings(table, crops.embeddings, attributes, COURSE, "synthetic")

    distance = Distance(features="embedding", metric="euclidean")
    report = evaluate_retrieval(
        embedded(queries), embedded(gallery), distance, leave_out_same_camera=True, resamples=0
    )
    return {name: report.figures[name] for name in FIGURES}


def torchreid(queries: Crops, gallery: Crops) -> Scores:
    import torch
    from pyppbox_torchreid import metrics

    distances = metrics.compute_distance_matrix(
        torch.from_numpy(queries.embeddings), torch.from_numpy(gallery.embeddings), "cosine"
    )
    cmc, mean_ap = metrics.evaluate_rank(
        distances.numpy(),
        queries.persons,
        gallery.persons,
        queries.cameras,
        gallery.cameras,
        use_metric_cuhk03=False,
        use_cython=True,
    )
    return {
        "map": float(mean_ap),
        "top1": float(cmc[0]),
        "top5": float(cmc[4]),
        "top10": float(cmc[9]),
    }


def reid(queries: Crops, gallery: Crops) -> Scores:
    """Do what `ReIDModel.evaluate` does once it has embedded the images."""
    from reid import distance_matrix
    from reid.eval.metrics import _compute_reid_metrics

    metrics = _compute_reid_metrics(
        distance_matrix(queries.embeddings, gallery.embeddings, distance="cosine"),
        queries.persons,
        gallery.persons,
        queries.cameras,
        gallery.cameras,
    )
    return {
        "map": metrics.mean_average_precision / 100,
        "top1": metrics.rank1 / 100,
        "top5": metrics.rank5 / 100,
        "top10": metrics.rank10 / 100,
    }


@dataclass(frozen=True)
class Contender:
    label: str
    work: Callable[[Crops, Crops], Scores]
    packages: tuple[str, ...]
    knows_junk: bool = False


CONTENDERS = {
    "ours": Contender("passerby", ours, ("passerby", "numpy"), knows_junk=True),
    "torchreid": Contender(
        "torchreid, compiled", torchreid, ("pyppbox-torchreid", "torch", "numpy")
    ),
    "reid": Contender("Roboflow reid", reid, ("reid", "numpy")),
}


# In a child


def child(task: str, *arguments: str) -> None:
    if task == "make":
        make(*arguments)
    else:
        print(json.dumps(timed(CONTENDERS[task], Path(arguments[0]))))


def timed(contender: Contender, inputs: Path) -> dict[str, Any]:
    """Measure once, after a warm-up with few queries that imports what is needed."""
    queries, gallery = loaded(inputs, contender.knows_junk)
    contender.work(queries[:32], gallery)
    check_compiled(contender)
    started = time.perf_counter()
    scores = contender.work(queries, gallery)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
        "scores": scores,
        "versions": {name: version(name) for name in contender.packages},
    }


def check_compiled(contender: Contender) -> None:
    if contender.work is torchreid:
        from pyppbox_torchreid.metrics import rank

        assert rank.IS_CYTHON_AVAI, "torchreid's compiled evaluator cannot be imported"


def peak_memory_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def loaded(path: Path, with_junk: bool) -> tuple[Crops, Crops]:
    with np.load(path) as file:
        queries, gallery = (
            Crops(*(file[f"{side}_{field}"] for field in Crops.__annotations__))
            for side in ("query", "gallery")
        )
    return queries, gallery if with_junk else gallery[gallery.persons != -1]


def make(path: str, seed: str, share: str, more_distractors: str) -> None:
    rng = np.random.default_rng(int(seed))
    queries, gallery = drawn(rng, Sizes().part(float(share)), int(more_distractors))
    arrays = {
        f"{side}_{field}": array
        for side, crops in (("query", queries), ("gallery", gallery))
        for field, array in vars(crops).items()
    }
    np.savez(path, **arrays)


def drawn(rng: np.random.Generator, sizes: Sizes, more_distractors: int) -> tuple[Crops, Crops]:
    """One query of each person in each of its cameras; at least one right answer in each too."""
    centres = at_length_1(rng.standard_normal((sizes.persons + 1, WIDTH), np.float32))
    centres[0] = 0  # a distractor is nothing but noise
    persons, cameras = sightings(rng, sizes)
    again = rng.integers(0, sizes.queries, sizes.gallery - sizes.queries)
    chance = rng.integers(1, sizes.persons + 1, sizes.junk)
    nobody = np.zeros(sizes.distractors + more_distractors, np.int64)
    looks = np.concatenate([persons, persons[again], chance, nobody])
    known = np.concatenate([persons, persons[again], np.full_like(chance, -1), nobody])
    where = rng.integers(0, CAMERAS, len(looks))
    where[: sizes.gallery] = np.concatenate([cameras, cameras[again]])
    order = rng.permutation(len(looks))
    return (
        Crops(embedded(rng, centres, persons), persons, cameras),
        Crops(embedded(rng, centres, looks[order]), known[order], where[order]),
    )


def sightings(
    rng: np.random.Generator, sizes: Sizes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return as many pairs of a person and a camera as there are queries, two or more a person."""
    cameras = rng.permuted(np.tile(np.arange(CAMERAS), (sizes.persons, 1)), axis=1)
    seen = np.zeros((sizes.persons, CAMERAS), bool)
    seen[:, :2] = True
    free = np.flatnonzero(~seen)
    seen.flat[rng.choice(free, sizes.queries - seen.sum(), replace=False)] = True
    return np.nonzero(seen)[0] + 1, cameras[seen]


def embedded(
    rng: np.random.Generator, centres: NDArray[np.float32], looks: NDArray[np.int64]
) -> NDArray[np.float32]:
    crops = rng.standard_normal((len(looks), WIDTH), np.float32)
    lengths = NOISE * np.exp(SPREAD * rng.standard_normal((len(looks), 1)))
    crops *= (lengths / math.sqrt(WIDTH)).astype(np.float32)
    real = np.flatnonzero(looks)
    crops[real] += centres[looks[real]]
    return at_length_1(crops)


def at_length_1(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors /= np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return vectors


# In the parent, which holds no embeddings: a child's peak memory starts from its parent's


def measured(options: argparse.Namespace) -> dict[str, Any]:
    pythons = {
        "ours": sys.executable,
        "torchreid": options.torchreid_python,
        "reid": options.reid_python,
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        made(inputs, options, 0)
        compared = in_turns(pythons, inputs, options.rounds)
        scaling = [scaled(inputs, options, count) for count in options.distractors]
    return {
        "command": COMMAND,
        "machine": f"{os.cpu_count()}-core {platform.machine()} CPU",
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "python": platform.python_version(),
        "part": options.part,
        "sizes": asdict(Sizes().part(options.part)),
        "seed": options.seed,
        "compared": compared,
        "scaling": scaling,
    }


def in_turns(pythons: dict[str, str | None], inputs: Path, rounds: int) -> dict[str, Any]:
    """Measure all contenders in each round, in every other round backwards."""
    present = {name: python for name, python in pythons.items() if python}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in present}
    for turn in range(rounds):
        for name in present if turn % 2 == 0 else reversed(present):
            runs[name].append(answer(present[name], name, str(inputs)))
            report(f"round {turn + 1}", name, runs[name][-1])
    return {name: summary(runs[name]) if name in runs else None for name in pythons}


def scaled(inputs: Path, options: argparse.Namespace, distractors: int) -> dict[str, Any]:
    made(inputs, options, distractors)
    runs = []
    for _ in range(options.scaling_rounds):
        runs.append(answer(sys.executable, "ours", str(inputs)))
        report(f"{distractors:,} more distractors", "ours", runs[-1])
    sizes = Sizes().part(options.part)
    gallery = sizes.gallery + sizes.distractors + sizes.junk + distractors
    size_mb = round((sizes.queries + gallery) * WIDTH * 4 / 1e6)
    return {
        "distractors": distractors,
        "gallery": gallery,
        "embeddings_mb": size_mb,
        **summary(runs),
    }


def made(inputs: Path, options: argparse.Namespace, distractors: int) -> None:
    run(sys.executable, "make", str(inputs), str(options.seed), str(options.part), str(distractors))


def answer(python: str, *arguments: str) -> dict[str, Any]:
    return json.loads(run(python, *arguments).splitlines()[-1])


def run(python: str, *arguments: str) -> str:
    command = [python, "-W", "ignore", __file__, "--child", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def report(when: str, name: str, one: dict[str, Any]) -> None:
    print(f"{when}: {name} {one['seconds']:.2f} s, {one['peak_memory_mb']} MB", file=sys.stderr)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = [one["seconds"] for one in runs]
    return {
        "seconds": statistics.median(seconds),
        "all_seconds": seconds,
        "peak_memory_mb": max(one["peak_memory_mb"] for one in runs),
        "scores": runs[0]["scores"],
        "versions": runs[0]["versions"],
    }


# The page


def page(results: dict[str, Any]) -> str:
    sizes = results["sizes"]
    rounds = len(results["compared"]["ours"]["all_seconds"])
    return f"""# Retrieval metrics: seconds beside the peers

Generated by `{results["command"]}`;
all measurements are in [retrieval.json](retrieval.json).

From embeddings to top-1/5/10 and mAP: cosine distances, same person and camera left out, plain
average precision. Made-up embeddings ({WIDTH} float32, {CAMERAS} cameras),
{size_in_words(results)}: {sizes["queries"]:,} queries of {sizes["persons"]:,} persons; a gallery of
{sizes["gallery"]:,} crops of them, {sizes["distractors"]:,} distractors and {sizes["junk"]:,} junk
crops. Only ours gets the junk and drops it itself; the peers are spared it.

{results["machine"]}, threads: {results["threads"]}; {rounds} rounds in turns, medians. Loading and
imports are not timed. Peak memory is that of the process, with its libraries (the peers' import
PyTorch) and the embeddings.

{compared_table(results["compared"])}

{agreement(results["compared"])}

{versions(results["compared"])}

{scaling_part(results["scaling"])}"""


def size_in_words(results: dict[str, Any]) -> str:
    if results["part"] == 1:
        return "as many as Market-1501's test crops"
    return f"{results['part']:g} of Market-1501's size"


def compared_table(compared: dict[str, Any]) -> str:
    lines = [
        "| | seconds | ratio to ours | mAP | top-1 | peak memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in compared.items():
        label = CONTENDERS[name].label
        if one is None:
            lines.append(f"| {label} | not measured | – | – | – | – |")
            continue
        ratio = one["seconds"] / compared["ours"]["seconds"]
        lines.append(
            f"| {label} | {one['seconds']:.2f} | {ratio:.2f} | {one['scores']['map']:.6f} "
            f"| {one['scores']['top1']:.6f} | {one['peak_memory_mb']:,} |"
        )
    return "\n".join(lines)


def agreement(compared: dict[str, Any]) -> str:
    """Say how far each peer's figures are from ours."""
    mine = compared["ours"]["scores"]
    lines = []
    for name, one in compared.items():
        if name == "ours" or one is None:
            continue
        apart = {figure: abs(one["scores"][figure] - mine[figure]) for figure in FIGURES}
        verdict = "agree" if max(apart.values()) <= AGREED else "DO NOT AGREE"
        listed = ", ".join(f"{figure} {value:.1e}" for figure, value in apart.items())
        lines.append(
            f"- {CONTENDERS[name].label} and ours {verdict} to {AGREED:.0e}; apart: {listed}"
        )
    return "\n".join(lines or ["No peer was measured."])


def versions(compared: dict[str, Any]) -> str:
    lines = []
    for name, one in compared.items():
        if one is not None:
            packages = ", ".join(
                f"{package} {number}" for package, number in one["versions"].items()
            )
            lines.append(f"- {CONTENDERS[name].label}: {packages}")
    return "\n".join(lines)


def scaling_part(scaling: list[dict[str, Any]]) -> str:
    if not scaling:
        return ""
    lines = [
        "## Ours with more distractors",
        "",
        f"Medians of {len(scaling[0]['all_seconds'])} runs; memory: the largest of them.",
        "",
        "| distractors added | gallery | seconds | peak memory, MB | embeddings in it, MB | mAP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in scaling:
        lines.append(
            f"| {one['distractors']:,} | {one['gallery']:,} | {one['seconds']:.1f} "
            f"| {one['peak_memory_mb']:,} | {one['embeddings_mb']:,} | {one['scores']['map']:.4f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

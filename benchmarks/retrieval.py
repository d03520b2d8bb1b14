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
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import Contender, Contest, Scores, arguments, conditions, summary
from synthetic import CAMERAS, WIDTH, Crops, Sizes, as_embeddings, size_in_words

# The interpreters of the peers run this file too: passerby is imported only where it is used.

AGREED = 1e-6
"""More cannot be asked: torchreid adds the average precisions up in float32."""
METRIC_NAMES = ("map", "top1", "top5", "top10")


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--reid-python", help="an interpreter that has Roboflow's reid")
    parser.add_argument(
        "--distractors", type=int, nargs="*", default=[100_000, 250_000, 500_000],
        help="how many to add, for ours alone",
    )  # fmt: skip
    parser.add_argument("--scaling-rounds", type=int, default=2)
    options = parser.parse_args()
    if options.child:
        CONTEST.child(*options.child)
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
    from passerby.evaluation import evaluate_retrieval
    from passerby.ranking import Distance

    distance = Distance(features="embedding", metric="euclidean")
    report = evaluate_retrieval(
        as_embeddings(queries),
        as_embeddings(gallery),
        distance,
        leave_out_same_camera=True,
        resamples=0,
    )
    return {name: report.metrics[name] for name in METRIC_NAMES}


def torchreid(queries: Crops, gallery: Crops) -> Scores:
    import torch
    from pyppbox_torchreid import metrics  # type: ignore[import-not-found]
    from pyppbox_torchreid.metrics import rank  # type: ignore[import-not-found]

    assert rank.IS_CYTHON_AVAI, "torchreid's compiled evaluator cannot be imported"
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
    from reid import distance_matrix  # type: ignore[import-not-found]
    from reid.eval.metrics import _compute_reid_metrics  # type: ignore[import-not-found]

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


CONTEST = Contest(
    __file__,
    {
        "ours": Contender("passerby", ours, ("passerby", "numpy"), knows_junk=True),
        "torchreid": Contender(
            "torchreid, compiled", torchreid, ("pyppbox-torchreid", "torch", "numpy")
        ),
        "reid": Contender("Roboflow reid", reid, ("reid", "numpy")),
    },
    METRIC_NAMES,
    AGREED,
)


# Measuring


def measured(options: argparse.Namespace) -> dict[str, Any]:
    pythons = {
        "ours": sys.executable,
        "torchreid": options.torchreid_python,
        "reid": options.reid_python,
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        CONTEST.made(inputs, options)
        compared = CONTEST.in_turns(pythons, inputs, options.rounds)
        scaling = [scaled(inputs, options, count) for count in options.distractors]
    return {
        "command": command(options),
        **conditions(options),
        "compared": compared,
        "scaling": scaling,
    }


def command(options: argparse.Namespace) -> str:
    """Return what was typed, but for the places of interpreters and results."""
    parts = ["python", "benchmarks/retrieval.py"]
    for peer in ("torchreid", "reid"):
        if getattr(options, f"{peer}_python"):
            parts += [f"--{peer}-python", "PYTHON"]
    parts += ["--rounds", options.rounds, "--distractors", *options.distractors]
    return shlex.join(map(str, [*parts, "--scaling-rounds", options.scaling_rounds]))


def scaled(inputs: Path, options: argparse.Namespace, distractors: int) -> dict[str, Any]:
    CONTEST.made(inputs, options, distractors)
    when = f"{distractors:,} more distractors"
    runs = [
        CONTEST.measured(sys.executable, "ours", inputs, when)
        for _ in range(options.scaling_rounds)
    ]
    sizes = Sizes().part(options.part)
    gallery = sizes.gallery + sizes.distractors + sizes.junk + distractors
    size_mb = round((sizes.queries + gallery) * WIDTH * 4 / 1e6)
    return {
        "distractors": distractors,
        "gallery": gallery,
        "embeddings_mb": size_mb,
        **summary(runs),
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
{size_in_words(results["part"])}: {sizes["queries"]:,} queries of {sizes["persons"]:,} persons; a
gallery of {sizes["gallery"]:,} crops of them, {sizes["distractors"]:,} distractors and
{sizes["junk"]:,} junk
crops. Only ours gets the junk and drops it itself; the peers are spared it.

{results["machine"]}, threads: {results["threads"]}; {rounds} rounds in turns, medians. Loading and
imports are not timed. Peak memory is that of the process, with its libraries (the peers' import
PyTorch) and the embeddings.

{CONTEST.table(results["compared"])}

{CONTEST.agreement(results["compared"])}

{CONTEST.versions(results["compared"])}

{scaling_part(results["scaling"])}"""


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

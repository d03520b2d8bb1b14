"""Re-identification of finished runs on the course's data, and the time that `rank` takes.

    python benchmarks/re_identification.py --data DATA [--runs RUN ...] [--flip] [--rank RUN]

Each run is scored on the persons that it held out, with every distance that it carries: protocol
"course" with all cameras and with matches within a camera left out, over several draws of the
random queries; answer sets and the open set on the first draw. `--rank` times one `passerby rank`
of all queries against all test crops, from images to the answer file, in a process of its own.
What was measured of other runs before stays.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from passerby.calibration import Matcher, read_matchers
from passerby.datasets import read_crops
from passerby.evaluation import EvaluationProtocol, RetrievalReport, evaluate_retrieval
from passerby.evaluation.retrieval import Reranked
from passerby.files import write_json, write_text
from passerby.inference import Embeddings, RuntimeModel
from passerby.inference.leakage import leave_out_seen
from passerby.ranking import Reranking
from passerby.reporting.number_text import with_interval

COMMAND = "python benchmarks/re_identification.py --data DATA --runs RUN ... [--flip] --rank RUN"
METRIC_NAMES = ("top1", "top5", "top10", "map", "minp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--rank", type=Path, help="time `passerby rank` with this run")
    parser.add_argument("--flip", action="store_true", help="average with the mirror images")
    parser.add_argument("--draws", type=int, default=10, help="of the random queries")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    target = options.out / "reid.json"
    results: dict[str, Any] = {"runs": [], "rank": None}
    if target.is_file():
        results = json.loads(target.read_text(encoding="utf-8"))
    new = [scored(run, options.data, options.draws, options.flip) for run in options.runs]
    again = {_key(run) for run in new}
    results["runs"] = [run for run in results["runs"] if _key(run) not in again] + new
    if options.rank:
        results["rank"] = timed(options.rank, options.data)
    write_json(target, results)
    write_text(options.out / "reid.md", page(results))
    print(f"written to {options.out}/reid.md")


def _key(run: dict[str, Any]) -> tuple[str, bool]:
    return run["run"], run.get("flip", False)


def scored(run: Path, data: Path, draws: int, flip: bool) -> dict[str, Any]:
    model = RuntimeModel.load(run)
    people = model.embed(leave_out_seen(read_crops(data), model.info, model.seen), flip=flip)
    training = model.info.training
    rows = []
    for known in read_matchers(model.info):
        for cameras in ("ignored", "cross"):
            reports = [retrieval(people, known, cameras, seed) for seed in range(draws)]
            first = reports[0]
            reranked = [report.reranked for report in reports if report.reranked]
            rows.append(
                {
                    "distance": known.distance.name,
                    "cameras": cameras,
                    "first_draw": figures(first),
                    "mean": means(reports),
                    "reranked": {
                        "first_draw": figures(reranked[0]),
                        "mean": means(reranked),
                    },
                    "queries": first.queries,
                    "skipped": first.skipped,
                    "gallery": first.gallery,
                    "answer_sets": [asdict(scores) for scores in first.answer_sets],
                    "calibration_error": first.reliability and first.reliability.error,
                }
            )
    return {
        "run": run.name,
        "flip": flip,
        "recipe": model.info.name,
        "split": training.recipe["data"]["seed"],
        "backbone": model.info.architecture["backbone"],
        "size": list(model.info.preprocessing.size),
        "epochs": training.epochs,
        "minutes": round(training.seconds / 60, 1),
        "training_persons": sum(map(len, training.persons.values())),
        "machine": training.machine,
        "versions": training.versions,
        "draws": draws,
        "rows": rows,
    }


def figures(scored: RetrievalReport | Reranked) -> dict[str, Any]:
    intervals = {f"{name}_ci": list(ci) for name, ci in scored.intervals.items()}
    return {**scored.metrics, **intervals}


def means(draws: Sequence[RetrievalReport | Reranked]) -> dict[str, float]:
    return {name: statistics.mean(draw.metrics[name] for draw in draws) for name in METRIC_NAMES}


def retrieval(people: Embeddings, known: Matcher, cameras: str, seed: int) -> RetrievalReport:
    """Score one draw of the random queries; intervals and answer sets of the first one only."""
    protocol = EvaluationProtocol.named("course", cameras, seed)
    queries, gallery = protocol.split(people.crops)
    return evaluate_retrieval(
        people.of_rows(queries),
        people.of_rows(gallery),
        known.distance,
        known.calibration if seed == 0 else None,
        leave_out_same_camera=protocol.leave_out_same_camera,
        reranking=Reranking(),
        resamples=1000 if seed == 0 else 0,
    )


def timed(run: Path, data: Path) -> dict[str, Any]:
    """Rank all queries against all test crops in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "reid_test.txt"
        command = [sys.executable, "-m", "passerby", "rank", "--model", str(run)]
        command += ["--queries", str(data / "queries"), "--gallery", str(data / "test")]
        command += ["--out", str(target)]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - started
        answers = target.read_text().splitlines()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "run": run.name,
        "queries": len(answers),
        "gallery": len(read_crops(data, "gallery")),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(peak),
        "answers": sum(line.count(".jpg") - 1 for line in answers),
        "empty": sum(line.endswith(":") for line in answers),
    }


def page(results: dict[str, Any]) -> str:
    lines = [
        "# Re-identification on the course's Market-1501",
        "",
        f"Generated by `{COMMAND}`; all figures are in [reid.json](reid.json).",
        "",
        "151 of 751 persons are held out by the split's seed; 60 of the other 600 are kept back to",
        "estimate weights, layers and thresholds on. Protocol `course`: one random crop of each",
        "held-out person asks, all other crops of theirs are searched; plain average precision.",
        "*cameras cross*: what the query's own camera saw of its person does not count.",
    ]
    for run in results["runs"]:
        lines += _run(run)
    if results["rank"]:
        r = results["rank"]
        lines += [
            "",
            "## From images to the answer file",
            "",
            f"`passerby rank --model {r['run']}`: {r['queries']:,} queries against "
            f"{r['gallery']:,} test crops took {r['seconds']} s and at most "
            f"{r['peak_memory_mb']:,} MB, start of the process, decoding and embedding included; "
            f"{r['answers'] / r['queries']:.1f} answers a query, {r['empty']} queries without one.",
        ]
    return "\n".join([*lines, ""])


def _run(run: dict[str, Any]) -> list[str]:
    height, width = run["size"]
    lines = [
        "",
        f"## {run['recipe']}, split {run['split']}"
        + (", averaged with mirror images (`--flip`)" if run.get("flip") else ""),
        "",
        f"{run['backbone']}, {height}×{width} pixels, {run['epochs']} epochs in "
        f"{run['minutes']:.0f} minutes, {run['training_persons']} persons; {run['machine']}.",
        "",
        "| distance | cameras | top-1 | top-5 | mAP | mINP | "
        f"mean of {run['draws']} draws: top-1 | top-5 | mAP |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in run["rows"]:
        lines.append(_line(row["distance"], row["cameras"], row))
    if "reranked" in run["rows"][0]:
        best = [row for row in run["rows"] if row["distance"] == run["rows"][0]["distance"]]
        for row in best:
            title = f"{row['distance']}, re-ranked"
            lines.append(_line(title, row["cameras"], row["reranked"]))
    lines += [
        "",
        "Answer sets, cameras ignored, first draw:",
        "",
        "| distance | rule | threshold | precision | recall | F2 | crops | empty | found (TPIR) | "
        "false alarms, person absent (FPIR) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in run["rows"]:
        if row["cameras"] == "ignored":
            lines += [_answer_set(row["distance"], scores) for scores in row["answer_sets"]]
    errors = ", ".join(
        f"{row['distance']} {row['calibration_error']:.3f}"
        for row in run["rows"]
        if row["cameras"] == "ignored"
    )
    return [*lines, "", f'Calibration error of the probability "same person": {errors}.']


def _line(title: str, cameras: str, row: dict[str, Any]) -> str:
    cells = [
        *(with_interval(row["first_draw"], name) for name in ("top1", "top5", "map", "minp")),
        *(f"{row['mean'][name]:.3f}" for name in ("top1", "top5", "map")),
    ]
    return f"| {title} | {cameras} | " + " | ".join(cells) + " |"


def _answer_set(distance: str, scores: dict[str, Any]) -> str:
    threshold = "–" if scores["threshold"] is None else f"{scores['threshold']:.4g}"
    figures = " | ".join(f"{scores[name]:.3f}" for name in ("precision", "recall", "f2"))
    rates = " | ".join(f"{scores[name]:.3f}" for name in ("empty", "identified", "false_alarms"))
    return (
        f"| {distance} | {scores['rule']} | {threshold} | {figures} | {scores['size']:.1f} | "
        f"{rates} |"
    )


if __name__ == "__main__":
    main()

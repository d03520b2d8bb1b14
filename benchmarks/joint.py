"""Finished runs of both tasks beside the course report and the best peers on this data.

    python benchmarks/joint.py --data DATA --runs RUN ... [--out DIR]

Each run is scored on the persons that it held out, mirror images averaged in and left out:
attributes under each decision rule, protocol "course" with the best-known distances, with and
without re-ranking, with all cameras and across cameras. What was measured of other runs stays.
"""

import argparse
import json
import shlex
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from both_tasks import figures
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.evaluation import evaluate_attributes
from passerby.files import write_json, write_text
from passerby.inference import Embeddings, RuntimeModel
from passerby.inference.leakage import leave_out_seen
from passerby.reporting.number_text import mean_and_spread
from passerby.training import load_recipe, shipped_recipes

COMMAND = "python benchmarks/joint.py --data DATA --runs RUN ..."

MARKET_PERSONS, HELD_OUT = 751, 151

MEASURES = (
    # title, report, best peer on this data, reach, aim
    ("top-1", "top1", 0.787, None, 0.970, 0.985),
    ("top-5", "top5", 0.94, None, 0.997, 1.000),
    ("mAP", "map", 0.523, 0.854, 0.80, 0.90),
    ("mAP with re-ranking", "map_reranked", None, None, 0.88, 0.95),
    ("mAP, same-camera matches left out", "map_cross", None, None, 0.72, 0.85),
    ("macro F1 over all 32", "f1", 0.553, None, 0.60, 0.66),
    ("mA over defined attributes", "ma", None, 0.666, 0.80, 0.86),
    ("average accuracy, official 12 attributes", "official12", None, 0.866, 0.875, 0.91),
)
"""Published figures; where they are from, and why they are no contest, stands below the tables."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    target = options.out / "joint.json"
    before = measured_before(target) if target.is_file() else []
    new = [scored(run, options.data) for run in options.runs]
    again = {run["run"] for run in new}
    results = [run for run in before if run["run"] not in again] + new
    results.sort(key=lambda run: (_trained_alike(run), run["split"]))
    write_json(target, results)
    write_text(options.out / "joint.md", page(results, most_frequent(read_crops(options.data))))
    print(f"written to {options.out}/joint.md")


def measured_before(path: Path) -> list[dict[str, Any]]:
    """Return runs that were scored earlier, their recipes' keys by their present names."""
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for run in runs:
        if "keys" in run:
            run["keys"] = {RENAMED.get(key, key): value for key, value in run["keys"].items()}
    return runs


RENAMED = {
    "augment.erase": "augment.random_erasing",
    "crops_per_person": "instances_per_person",
    "average": "ema_decay",
}
"""Keys of recipes that were called otherwise before."""


def scored(run: Path, data: Path) -> dict[str, Any]:
    model = RuntimeModel.load(run)
    crops = leave_out_seen(read_crops(data), model.info, model.seen)
    training = model.info.training
    return {
        "run": run.name,
        "recipe": model.info.name + (", bf16" if training.precision == "bf16" else ""),
        "keys": keys(training.recipe),
        "split": training.recipe["data"]["seed"],
        "backbone": model.info.architecture["backbone"],
        "size": list(model.info.preprocessing.size),
        "epochs": training.epochs,
        "minutes": round(training.seconds / 60, 1),
        "training_persons": sum(map(len, training.persons.values())),
        "pseudo_persons": training.pseudo_persons,
        "pseudo_crops": training.pseudo_crops,
        "machine": training.machine,
        "precision": training.precision,
        "versions": training.versions,
        "plain": figures(model.embed(crops), model.info),
        "flip": figures(model.embed(crops, flip=True), model.info),
    }


def most_frequent(crops: Crops) -> float:
    """Return the official 12 of always answering what is most frequent among the crops."""
    assert crops.labels is not None
    assert crops.schema is not None
    shares = np.tile(crops.labels.mean(axis=0, dtype=np.float32), (len(crops), 1))
    nothing = np.empty((len(crops), 0), np.float32)
    guesses = Embeddings(crops, nothing, shares, crops.schema, model="")
    found = evaluate_attributes(guesses, resamples=0).official12
    assert found is not None
    return found


SAID_ELSEWHERE = ("data", "seed", "precision", "name")


def keys(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's keys that decide what is learned, and are not said elsewhere."""
    flat: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                add(f"{prefix}{key}.", part)
        elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
            add(prefix, dict(enumerate(value)))
        else:
            flat[prefix[:-1]] = value

    add("", {key: part for key, part in recipe.items() if key not in SAID_ELSEWHERE})
    flat.pop("model.weights", None)
    return flat


def measure(run: dict[str, Any], way: str, key: str, attributes: str = "attributes") -> float:
    """Return one measure of a run: of attributes by a rule of `RULES`, else of the first draw."""
    found = run[way]
    rule = rule_of(run, key)
    if rule is not None:
        return found[attributes][rule][key]
    return found["embedding"]["first_draw"][key]


RULES = {"official12": "group", "f1": "deepmar", "ma": "prevalence"}
"""Each measure by the decision rule that is made for it; see `Decision`."""


def rule_of(run: dict[str, Any], key: str) -> str | None:
    """Return the rule that attributes were decided by; runs measured earlier know fewer."""
    rule = RULES.get(key)
    return "fixed" if rule is not None and rule not in run["flip"]["attributes"] else rule


def page(results: list[dict[str, Any]], floor: float) -> str:
    lines = [
        "# Both tasks in one model",
        "",
        f"Generated by `{COMMAND}`; all figures are in [joint.json](joint.json).",
        "",
        "151 of 751 persons are held out by the split's seed. Protocol `course`, embeddings, plain",
        "average precision, the first draw of the random queries; the means of ten draws below.",
        "Attributes are decided by the rule in brackets: `fixed`, a probability of one half; "
        "`group`, the",
        "most probable colour and age; `deepmar` and `prevalence`, thresholds that follow from how",
        "frequent each attribute was in training. `pooled`: of each crop the average over all "
        "held-out",
        "crops, by the probability that they show the same person, as the distances of the other "
        "half of",
        "the persons tell it (`passerby.pool_attributes`); the published figures are of single "
        "crops.",
    ]
    for _, runs in groupby(results, key=_trained_alike):
        lines += _section(list(runs))
    lines += [
        "",
        "## The other columns",
        "",
        "*report*: the course report that Passerby began from, on one split of its own. *best",
        "peer*: the best figures that we know of persons of Market-1501: mAP of students' projects",
        "on splits of their own; mA as it follows from precision and recall in Yukun-Huang's",
        "repository, official test persons; official 12 of APR (Lin et al. 2019), official test",
        "persons, quoted from memory (of our crops always answering what is most frequent is right",
        f"for {floor:.3f}). These columns say where one stands, no more. *reach*: the goal, set",
        "before the first training; *aim*: that for a larger network on a GPU. Both are for single",
        "crops, so that pooled figures reach nothing.",
        *_short(results),
        "",
    ]
    return "\n".join(lines)


def _short(results: list[dict[str, Any]]) -> list[str]:
    """Say which goals the shipped model's recipe misses on average over its splits."""
    name = RuntimeModel.load().info.name
    alike = [list(runs) for _, runs in groupby(results, key=_trained_alike)]
    runs = max((r for r in alike if r[0]["recipe"].startswith(name)), key=len, default=None)
    if runs is None:
        return []
    missed = [
        title
        for title, key, _, _, reach, _ in MEASURES
        if mean(measure(run, "flip", key) for run in runs) < reach
    ]
    return ["", f"`{name}` reaches all but: {', '.join(missed)}."] if missed else []


def _trained_alike(run: dict[str, Any]) -> tuple[str, int, str]:
    """Return what runs that are averaged have in common; of early ones the keys are not known."""
    return run["recipe"], -run["training_persons"], json.dumps(run.get("keys"), sort_keys=True)


def _section(runs: list[dict[str, Any]]) -> list[str]:
    height, width = runs[0]["size"]
    splits = ", ".join(str(run["split"]) for run in runs)
    minutes = ", ".join(f"{run['minutes']:.0f}" for run in runs)
    lines = [
        "",
        f"## {runs[0]['recipe']}, {runs[0]['training_persons']} persons, splits {splits}"
        + (", recipe changed" if _changes(runs[0]) else ""),
        "",
        f"{runs[0]['backbone']}, {height}×{width} pixels, {runs[0]['epochs']} epochs in {minutes} "
        f"minutes; {runs[0]['machine']}, {runs[0]['precision']}. Each trained by",
        "",
        f"    {_training(runs[0])}",
        *_unlabelled(runs),
        "",
        "| | report | best peer on this data | reach | aim | ours, mirror images | ours, plain |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(runs, *row) for row in MEASURES]
    if all("attributes_pooled" in run["flip"] for run in runs):
        lines += [
            _row(runs, f"{title}, pooled", key, None, None, None, None, "attributes_pooled")
            for title, key, *_ in MEASURES
            if key in RULES
        ]
    lines += [
        "",
        "Means of ten draws, mirror images averaged"
        + (
            "; *both* is the embedding and the attributes in one distance, weighted on persons kept"
            " back:"
            if all("both" in run["flip"] for run in runs)
            else ":"
        ),
        "",
        "| distance | top-1 | top-5 | mAP | mAP re-ranked | mAP across cameras | re-ranked |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    keys = ("top1", "top5", "map", "map_reranked", "map_cross", "map_reranked_cross")
    for distance in ("embedding", "both", "logits"):
        if all(distance in run["flip"] for run in runs):
            cells = [
                mean_and_spread([run["flip"][distance]["mean"][key] for run in runs])
                for key in keys
            ]
            lines.append(f"| {distance} | {' | '.join(cells)} |")
    return lines + _fusion(runs)


def _fusion(runs: list[dict[str, Any]]) -> list[str]:
    found = [run["flip"].get("fusion") for run in runs]
    if not all(found):
        return []
    both, alone = (mean_and_spread([f[name] for f in found]) for name in ("both", "embedding"))
    return [
        "",
        f"Among half of the held-out persons mAP is {alone} by embeddings and {both} by embeddings "
        "and attributes in one distance, attributes weighted as suits the other half best.",
    ]


def _training(run: dict[str, Any]) -> str:
    """Return the command that trained a run, of any split."""
    name = run["recipe"].split(",")[0]
    kept = MARKET_PERSONS - HELD_OUT - run["training_persons"]
    changes = ["data.seed=SPLIT", f"data.calibration_persons={kept}", "model.weights=FILE"]
    if run["precision"] != "fp32":
        changes.append(f"precision={run['precision']}")
    if run.get("pseudo_crops"):
        changes.append("data.unlabelled=DATA/test")
    changes += _changes(run)
    return f"passerby train {name} --data DATA --out RUN " + " ".join(
        f"--set {shlex.quote(change)}" for change in changes
    )


def _changes(run: dict[str, Any]) -> list[str]:
    """Return what a run's recipe says otherwise than the shipped one of its name."""
    name = run["recipe"].split(",")[0]
    shipped = keys(load_recipe(name).model_dump(mode="json")) if name in shipped_recipes() else {}
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in run.get("keys", {}).items()
        if value != shipped.get(key)
    ]


def _row(
    runs: list[dict[str, Any]],
    title: str,
    key: str,
    report: float | None,
    peer: float | None,
    reach: float | None,
    aim: float | None,
    attributes: str = "attributes",
) -> str:
    ours = [
        mean_and_spread([measure(run, way, key, attributes) for run in runs])
        for way in ("flip", "plain")
    ]
    known = ["–" if value is None else f"{value:.3f}" for value in (report, peer, reach, aim)]
    rule = rule_of(runs[0], key)
    named = title if rule is None else f"{title} (`{rule}`)"
    return f"| {named} | {' | '.join([*known, *ours])} |"


def _unlabelled(runs: list[dict[str, Any]]) -> list[str]:
    found = [(run.get("pseudo_crops", 0), run.get("pseudo_persons", 0)) for run in runs]
    if not any(crops for crops, _ in found):
        return []
    words = ", ".join(f"{crops:,} crops of {persons:,} persons" for crops, persons in found)
    return [
        "",
        f"Learned, without annotation, from the test part too, which shows other persons: in the "
        f"last phase from {words}, as the network told them apart.",
    ]


if __name__ == "__main__":
    main()

"""Table 1 of the course report beside ours: trains what is missing, scores, writes the tables.

    python benchmarks/attributes.py --data DATA [--weights FILE] [--runs runs] [--out docs/results]
        [--recipes NAME ...] [--splits SEED ...] [--set KEY=VALUE ...]

Each recipe is trained on each split (the split's seed draws the held-out persons) into
RUNS/RECIPE-SEED; a finished run is only scored. Rows that the results hold already, of other
recipes, splits, placements of attention or numbers of persons, are kept. Nothing is chosen on the
held-out persons.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from passerby.cli.train import train_with_progress
from passerby.datasets import read_crops
from passerby.evaluation import evaluate_attributes
from passerby.files import write_json, write_text
from passerby.inference import Decision, RuntimeModel
from passerby.inference.leakage import leave_out_seen
from passerby.reporting.number_text import mean_and_spread, with_interval
from passerby.reporting.reproduction import PUBLISHED_TABLE_1
from passerby.training import load_recipe

Result = dict[str, Any]
Variant = tuple[int, str]

COMMAND = "python benchmarks/attributes.py --data DATA --weights FILE"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="pretrained", help="ImageNet weights of the backbone")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--recipes", nargs="+", default=["course-attributes-cpu", "course-attention-cpu"]
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides")
    options = parser.parse_args()
    results = [
        scored(trained(recipe, split, options), options.data, recipe, split)
        for split in options.splits
        for recipe in options.recipes
    ]
    results = merged(options.out / "attributes.json", results)
    write_json(options.out / "attributes.json", results)
    write_text(options.out / "attributes.md", page(results))
    print(f"written to {options.out}/attributes.md")


def merged(path: Path, results: list[Result]) -> list[Result]:
    """Return the rows that the file holds already, but for those scored again, and the new ones."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    again = {(variant(row), row["split"]) for row in results}
    kept = [row for row in before if (variant(row), row["split"]) not in again]
    return sorted([*kept, *results], key=lambda row: (variant(row), row["split"]))


def variant(row: Result) -> Variant:
    """Return what is averaged over splits: persons trained on, and the attention if any."""
    attention = row["attention"]
    if attention["kind"] == "none":
        return -row["training_persons"], "no attention"
    where = {"head": "before the classifier", "stages": "inside the last two stages"}
    residual = ", residual" if attention["residual"] else ""
    kind = {"both": "channel and spatial"}.get(attention["kind"], attention["kind"])
    place = where[attention["place"]]
    return -row["training_persons"], f"with {kind} attention {place}{residual}"


def trained(name: str, split: int, options: argparse.Namespace) -> Path:
    run: Path = options.runs / f"{name}-{split}"
    if not (run / "model").is_dir():
        overrides = [f"data.seed={split}", f"seed={split}", f"model.weights={options.weights}"]
        overrides += options.overrides
        train_with_progress(load_recipe(name, overrides), options.data, run, resume=True)
    return run


def scored(run: Path, data: Path, recipe: str, split: int) -> dict[str, Any]:
    """Score one run with every decision rule that it has."""
    model = RuntimeModel.load(run)
    people = model.embed(leave_out_seen(read_crops(data), model.info, model.seen))
    rules = {Decision("fixed"), Decision("group"), model.info.decision}
    training = model.info.training
    return {
        "recipe": recipe,
        "split": split,
        "backbone": model.info.architecture["backbone"],
        "size": list(model.info.preprocessing.size),
        "attention": training.recipe["model"]["attention"],
        "epochs": training.epochs,
        "minutes": round(training.seconds / 60, 1),
        "peak_memory_mb": training.peak_memory_mb,
        "machine": training.machine,
        "training_persons": sum(map(len, training.persons.values())),
        "versions": training.versions,
        "rules": {
            rule.rule: evaluate_attributes(people, rule).to_dict()
            for rule in sorted(rules, key=lambda rule: rule.rule)
        },
    }


def page(results: list[Result]) -> str:
    first = results[0]
    variants = list(dict.fromkeys(variant(result) for result in results))
    rules = ("fixed", "group")
    splits = sorted({result["split"] for result in results})
    height, width = first["size"]
    lines = [
        "# Attributes on the course's Market-1501",
        "",
        f"Generated by `{COMMAND}`, with",
        "`--set data.calibration_persons=0` to train on all 600 persons (540 otherwise: 60 are",
        "kept back for thresholds), and `--set model.attention.place=stages",
        "model.attention.residual=true` for the other placement. The figures with their intervals",
        "and per attribute are in [attributes.json](attributes.json).",
        "",
        f"{first['backbone']}, ImageNet weights, {height}×{width} pixels, {first['epochs']} "
        "epochs,",
        f"{first['machine']}; {first['rules']['fixed']['persons']} of 751 persons held out, splits",
        f"{splits}. The published figures are a ResNet-50's after 150 epochs on one split of",
        "600 and 151 persons, drawn by another hand.",
        "",
        "## Table 1: macro averages over all 32 attributes, undefined = 0",
        "",
        "| model | persons | rule | split | precision | recall | F1 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, figures in PUBLISHED_TABLE_1.items():
        cells = " | ".join(f"{figures[name]:.3f}" for name in ("precision", "recall", "f1"))
        lines.append(f"| {title} | 600 | – | its own | {cells} |")
    for which in variants:
        for rule in rules:
            lines += _rows(results, which, rule, ("precision", "recall", "f1"))
    lines += [
        "",
        "## The rest, mean ± standard deviation over the splits",
        "",
        "| model | persons | rule | F1 defined | mA defined | accuracy | gain | instance F1 | "
        "official 12 | official 12 with multicolor |",
        "| --- |" + " --- |" * 9,
    ]
    lines += [_summary(results, which, rule) for which in variants for rule in rules]
    lines += ["", "## Does attention help?", "", *_attention(results, variants)]
    lines += ["", f"## Per attribute, {_title(variants[0])}, mean over the splits", ""]
    lines += _per_attribute(results, variants[0], rules[0])
    minutes = sorted({round(r["minutes"]) for r in results})
    memory = max(result["peak_memory_mb"] for result in results)
    lines += [
        "",
        f"Training took {minutes[0]} to {minutes[-1]} minutes a run. Peak memory: {memory:,} MB.",
        "",
    ]
    return "\n".join(lines)


def _title(which: Variant) -> str:
    return f"{which[1]}, {-which[0]} persons"


def _of(results: list[Result], which: Variant, rule: str) -> list[dict[str, Any]]:
    return [r["rules"][rule] for r in results if variant(r) == which]


def _rows(results: list[Result], which: Variant, rule: str, names: tuple[str, ...]) -> list[str]:
    persons, title = -which[0], which[1]
    rows = []
    for result in results:
        if variant(result) == which:
            figures = result["rules"][rule]
            cells = " | ".join(with_interval(figures, name) for name in names)
            rows.append(f"| {title} | {persons} | {rule} | {result['split']} | {cells} |")
    scores = _of(results, which, rule)
    cells = " | ".join(mean_and_spread([score[name] for score in scores]) for name in names)
    return [*rows, f"| **{title}** | **{persons}** | **{rule}** | **mean ± sd** | {cells} |"]


def _summary(results: list[Result], which: Variant, rule: str) -> str:
    scores = _of(results, which, rule)
    columns = (
        [score["defined"]["f1"] for score in scores],
        [score["defined"]["ma"] for score in scores],
        [score["accuracy"] for score in scores],
        [score["gain"] for score in scores],
        [score["instance"]["f1"] for score in scores],
        [score["official12"] for score in scores],
        [score["official12_multicolor"] for score in scores],
    )
    cells = " | ".join(mean_and_spread(column) for column in columns)
    return f"| {which[1]} | {-which[0]} | {rule} | {cells} |"


def _attention(results: list[Result], variants: list[Variant]) -> list[str]:
    """Compare each attention with none, on the same splits and as many persons."""
    lines = []
    for persons, title in variants:
        plain = {r["split"]: r for r in results if variant(r) == (persons, "no attention")}
        pairs = [
            (plain[r["split"]]["rules"]["fixed"]["f1"], r["rules"]["fixed"]["f1"])
            for r in results
            if variant(r) == (persons, title) and r["split"] in plain
        ]
        if title == "no attention" or not pairs:
            continue
        gains = [attended - without for without, attended in pairs]
        shown = ", ".join(f"{gain:+.3f}" for gain in gains)
        lines.append(
            f"- {title[0].upper()}{title[1:]}, {-persons} persons: F1 {shown} on the splits, "
            f"{statistics.mean(gains):+.3f} on average (rule fixed)."
        )
    return lines


def _per_attribute(results: list[Result], which: Variant, rule: str) -> list[str]:
    scores = _of(results, which, rule)
    names = ("positives", "precision", "recall", "f1", "ma", "gain")
    lines = [
        f"Rule {rule}; splits in which an attribute is undefined are left out of its row.",
        "",
        "| attribute | " + " | ".join(names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    for attribute in scores[0]["per_attribute"]:
        defined = [s["per_attribute"][attribute] for s in scores if attribute not in s["undefined"]]
        cells = [
            f"{statistics.mean(values[name] for values in defined):.3f}" if defined else "–"
            for name in names
        ]
        lines.append(f"| {attribute} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()

"""The card of the model that ships with the package: docs/model-card.md.

    python benchmarks/model_card.py --data DATA --folds RUN ...

The model was trained on everybody in the data, so nobody is left to score it on. FOLDS are runs of
the same recipe without some of the sets, which held persons of Market-1501 out too
(`benchmarks/generalisation.py --leave-out`): their figures, on these persons and sets, stand for
it.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from both_tasks import averages, pooled_by_halves, retrieval
from generalisation import CHOSE, LEAVE_OUT, MARKET, MARKET_HELD_OUT, RECIPE
from passerby.calibration import read_matchers
from passerby.calibration.cross_fitting import real_persons, split_halves
from passerby.calibration.cross_validation import measure_calibration_by_folds
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.evaluation import EvaluationProtocol, evaluate, evaluate_attributes
from passerby.evaluation.thresholds import thresholds_of_others
from passerby.files import write_json, write_text
from passerby.gallery.settings import DISTANCE
from passerby.inference import Decision, Embeddings, RuntimeModel
from passerby.inference.leakage import leave_out_seen
from passerby.inference.model_info import LearnedFrom, ModelInfo
from passerby.inference.model_location import DEFAULT_MODEL
from passerby.models.half_precision import save_half_precision
from passerby.models.int8 import save_int8
from passerby.reporting.number_text import mean_and_spread

COMMAND = "python benchmarks/model_card.py --data DATA --folds RUN ..."

WATTS, GRAMS_PER_KWH = 20, 400
"""Assumed: of two cores of a server's processor under load, and of electricity."""

POOLED = ("group", "deepmar", "prevalence")
"""Rules by which attributes averaged over crops are decided: their best figures."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    crops = read_crops(options.data / MARKET)
    models = [RuntimeModel.load(fold) for fold in options.folds]
    held_out = [model.embed(leave_out_seen(crops, model.info, model.seen)) for model in models]
    found = [
        {
            "run": fold.name,
            "minutes": round(model.info.training.seconds / 60, 1),
            **measured(people, rules(model.info, held_out, number)),
        }
        for number, (fold, model, people) in enumerate(
            zip(options.folds, models, held_out, strict=True)
        )
    ]
    smaller = compared(options.folds[0], crops)
    write_json(options.out / "results" / "model-card.json", {"folds": found, "smaller": smaller})
    elsewhere = json.loads((options.out / "results" / "generalisation.json").read_text("utf-8"))
    write_text(options.out / "model-card.md", card(found, smaller, elsewhere[RECIPE]))


def rules(model: ModelInfo, held_out: Sequence[Embeddings], number: int) -> dict[str, Decision]:
    """Return the decision rules of one fold; its thresholds are chosen on the other folds."""
    found = {
        "group": Decision("group"),
        "fixed": Decision("fixed"),
        "deepmar": model.decision_by("deepmar"),
        "prevalence": model.decision_by("prevalence"),
    }
    if len(held_out) > 1:
        found["thresholds"] = thresholds_of_others(held_out, number)
    return found


def measured(people: Embeddings, rules: Mapping[str, Decision]) -> dict[str, Any]:
    """Score one fold on the persons whom it held out."""
    reports = {name: evaluate_attributes(people, rule, resamples=0) for name, rule in rules.items()}
    pooled = pooled_by_halves(people)
    draws = [retrieval(people, DISTANCE, draw) for draw in range(10)]
    report = evaluate(people, protocol=EvaluationProtocol.named("course"), resamples=0).retrieval
    assert report is not None
    return {
        "persons": people.crops.person_count,
        "crops": len(people),
        "retrieval": {key: statistics.mean(draw[key] for draw in draws) for key in draws[0]},
        "attributes": {name: averages(report) for name, report in reports.items()},
        "attributes_pooled": {
            name: averages(evaluate_attributes(pooled, rule, resamples=0))
            for name, rule in rules.items()
            if name in POOLED
        },
        "per_attribute": {n: dict(v) for n, v in reports["group"].per_attribute.items()},
        "slices": {name: dict(sides) for name, sides in report.slices.items()},
        "attribute_error": attribute_error(people),
        "match_error": match_error(people),
    }


def attribute_error(people: Embeddings) -> float:
    """Return the expected calibration error of the attribute probabilities, over ten bins."""
    assert people.crops.labels is not None
    known = ~np.isnan(people.crops.labels)
    said, is_so = people.known_attributes[known], people.crops.labels[known]
    bins = np.minimum((said * 10).astype(int), 9)
    return float(
        sum(
            abs(said[bins == b].mean() - is_so[bins == b].mean()) * (bins == b).mean()
            for b in range(10)
            if (bins == b).any()
        )
    )


def match_error(people: Embeddings) -> float:
    """Return the calibration error of "same person": measured on one half, tried on the other."""
    errors = []
    for fitted, tried in split_halves(real_persons(people)):
        calibration = measure_calibration_by_folds([fitted], DISTANCE)
        report = evaluate(tried, distance=DISTANCE, calibration=calibration, resamples=0).retrieval
        assert report is not None
        assert report.reliability is not None
        errors.append(report.reliability.error)
    return statistics.mean(errors)


def compared(fold: Path, crops: Crops) -> dict[str, Any]:
    """Say what weights in half precision, and computing in 8 bits, lose on persons held out."""
    model = RuntimeModel.load(fold)
    everybody, crops = crops, leave_out_seen(crops, model.info, model.seen)
    held_out = set(crops.paths)
    learned = everybody[np.array([path not in held_out for path in everybody.paths])]
    exact = model.embed(crops)
    with tempfile.TemporaryDirectory() as place:
        save_half_precision(fold, Path(place) / "half")
        half = RuntimeModel.load(Path(place) / "half").embed(crops)
        save_int8(fold, Path(place) / "int8", learned)
        eight_bits = RuntimeModel.load(Path(place) / "int8").embed(crops)
    variants = {"single": exact, "half": half, "int8": eight_bits}
    return {
        name: {
            "map": retrieval(people, DISTANCE, 0)["map"],
            "farthest": float(np.linalg.norm(people.vectors - exact.vectors, axis=1).max()),
            "attribute": float(np.abs(people.known_attributes - exact.known_attributes).max()),
        }
        for name, people in variants.items()
    }


def card(
    folds: list[dict[str, Any]], smaller: dict[str, Any], elsewhere: dict[str, dict[str, Any]]
) -> str:
    model = RuntimeModel.load()
    info, training = model.info, model.info.training
    size = sum(file.stat().st_size for file in DEFAULT_MODEL.iterdir()) / 1e6
    hours = training.seconds / 3600
    height, width = info.preprocessing.size
    return "\n".join(
        [
            "# Model card: the model that ships with Passerby",
            "",
            f"Generated by `{COMMAND}`; all figures are in "
            "[results/model-card.json](results/model-card.json).",
            "",
            "| | |",
            "| --- | --- |",
            f"| what it answers | a {info.embedding_size}-dimensional embedding, 32 attribute "
            "probabilities |",
            f"| network | {info.architecture['backbone']} (ImageNet weights), last stride "
            f"{info.architecture['last_stride']}, GeM, BNNeck, instance normalisation of the "
            f"input and after two stages; {height}×{width} pixels |",
            f"| recipe | `{info.name}`, {training.epochs} epochs, on {training.crops:,} crops; "
            f"{sum(map(len, training.persons.values())):,} persons are known |",
            f"| finished | {training.finished[:10]}, passerby "
            f"{training.versions.get('passerby')}, torch {training.versions.get('torch')} |",
            f"| size | {size:.1f} MB, weights in half precision, both forms (safetensors and ONNX) "
            "|",
            f"| training | {hours:.1f} hours on a {training.machine}, {training.precision}: at an "
            f"assumed {WATTS} W and {GRAMS_PER_KWH} g CO₂ a kWh {hours * WATTS / 1000:.2f} kWh, "
            f"{hours * WATTS / 1000 * GRAMS_PER_KWH:.0f} g; the folds below took "
            f"{_minutes(folds)} minutes; other work ran beside all of them |",
            f"| fingerprint | `{info.fingerprint[:16]}…` |",
            "",
            *_data_and_use(training.learned_from),
            *_elsewhere(elsewhere),
            *_figures(folds, info.decision.rule),
            *_calibration(folds, model),
            *_slices(folds),
            *_per_attribute(folds),
            *_precision(smaller),
        ]
    )


def _minutes(folds: list[dict[str, Any]]) -> str:
    return ", ".join(f"{fold['minutes']:.0f}" for fold in folds)


def _data_and_use(learned_from: Sequence[LearnedFrom]) -> list[str]:
    return [
        "## Data",
        "",
        "| set | crops | with attributes | persons | terms of use |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {one.name} | {one.crops:,} | {one.labelled:,} | {one.persons or '–'} | "
            f"{one.terms or '–'} |"
            for one in learned_from
        ),
        "",
        "Market-1501 and CUHK03 were taken on two campuses in China in summer, PETA's parts on "
        "campuses and streets in Italy, the United Kingdom, the United States, Portugal and Hong "
        "Kong, PA-100K outdoors in China. Attributes were given to persons, in PA-100K to crops; "
        "of PETA and PA-100K through the mappings that ship. The people were not asked. **Some of "
        "the data are for academic research only, and so is this model.** The backbone began from "
        "EfficientNet-Lite0's ImageNet weights (Apache-2.0).",
        "",
        "## Intended use",
        "",
        "Learning, teaching and research: comparing models, trying the toolkit without training, "
        "a first search on one's own cameras. For people search in a product train your own model "
        "on data that you may use.",
        "",
        "**Not intended**: identifying or following people without a legal basis and their "
        "knowledge; decisions about people; guessing who somebody is, their origin, health or "
        "orientation. Age group and gender are as annotators guessed them. See "
        "[responsible-use.md](responsible-use.md).",
        "",
        "It does not know night, infrared, children, wheelchairs, uniforms, people half hidden or "
        "seen from above, and hardly winter. On a camera that it has never seen it finds far "
        "fewer people than on Market-1501, as the next table says: fit it to yours (`passerby "
        "train adapt`), and calibrate it (`passerby export --out mine`, `passerby calibrate mine "
        "--data YOURS`).",
        "",
    ]


def _elsewhere(sets: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "## On cameras that it has never seen",
        "",
        "Of the runs that were kept from a set, on that set, mirror images averaged; how, and "
        "beside the model before, in [results/generalisation.md](results/generalisation.md). "
        f"{' and '.join(CHOSE)} chose the recipe.",
        "",
        "| set | rank-1 | mAP | mA of the attributes |",
        "| --- | --- | --- | --- |",
    ]
    kept_from = {title for run in LEAVE_OUT.values() for title in run.sets}
    for title, found in sets.items():
        if title in kept_from:
            retrieval, attributes = found.get("retrieval"), found.get("attributes")
            cells = [f"{retrieval[key]:.3f}" if retrieval else "–" for key in ("top1", "map")]
            cells.append(f"{attributes['ma']:.3f}" if attributes else "–")
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _figures(folds: list[dict[str, Any]], rule: str) -> list[str]:
    runs = f"{len(folds)} runs" if len(folds) > 1 else "one run"
    rules = list(folds[0]["attributes"])
    lines = [
        "## Figures",
        "",
        f"Of {runs} of the same recipe, each without some of the sets, on the {MARKET_HELD_OUT} "
        "persons of Market-1501 whom each held out; mean ± spread if several. Protocol `course`, "
        "means of ten draws, no mirror images.",
        "",
        "| finding people again | |",
        "| --- | --- |",
    ]
    for title, key in (
        ("top-1", "top1"),
        ("top-5", "top5"),
        ("mAP", "map"),
        ("mAP with re-ranking", "map_reranked"),
        ("mAP, same-camera matches left out", "map_cross"),
    ):
        lines.append(f"| {title} | {mean_and_spread([f['retrieval'][key] for f in folds])} |")
    lines += _by_rule("attributes, by decision rule", [f["attributes"] for f in folds])
    lines += ["", f"The model decides by `{rule}`; `evaluate --decision` tries others."]
    if "thresholds" in rules:
        lines[-1] += (
            " The `thresholds` of this table are chosen for each fold on those persons of the "
            "others who are not in it."
        )
    lines += [
        "",
        "Averaged over all held-out crops that probably show the same person (`predict --pool`), "
        "as the distances of the other half of the persons tell it:",
    ]
    lines += _by_rule("attributes, pooled", [f["attributes_pooled"] for f in folds])
    return [*lines, ""]


def _by_rule(title: str, folds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return a table of averages, a column for each decision rule."""
    rules = list(folds[0])
    lines = ["", f"| {title} | " + " | ".join(rules) + " |"]
    lines.append("| --- |" + " --- |" * len(rules))
    for row, key in (
        ("macro precision", "precision"),
        ("macro recall", "recall"),
        ("macro F1", "f1"),
        ("mA", "ma"),
        ("official 12", "official12"),
        ("official 12, multicolor a colour", "official12_multicolor"),
    ):
        cells = [mean_and_spread([fold[rule][key] for fold in folds]) for rule in rules]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _calibration(folds: list[dict[str, Any]], model: RuntimeModel) -> list[str]:
    known = {c.distance: c.calibration for c in read_matchers(model.info)}
    calibration = known[DISTANCE]
    assert calibration is not None
    lines = [
        "## Calibration",
        "",
        f"Measured on {calibration.persons:,} persons, of all sets with several crops a person of "
        "which a fold was kept from some or all, on pairs across cameras where cameras are known "
        "(of PETA they are not), each set counting as much; what that gains on a set never seen: "
        "[results/calibration.md](results/calibration.md). On Market-1501 expected calibration "
        "error of the attribute probabilities: "
        f'{mean_and_spread([f["attribute_error"] for f in folds])}; of "same person" (pairs said '
        "to match with at least 1 %, half of the persons measured, the other half tried): "
        f"{mean_and_spread([f['match_error'] for f in folds])}.",
        "",
        "| crops in the gallery | threshold of the best expected F2 |",
        "| --- | --- |",
    ]
    for count in (100, 1_000, 10_000, 100_000):
        lines.append(f"| {count:,} | {calibration.threshold_for_f_beta(2, count):.3f} |")
    return [*lines, ""]


def _slices(folds: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## For whom it works less well",
        "",
        "mAP of queries of persons with and without an attribute (first draw, all folds; those "
        "with at least 20 queries on both sides).",
        "",
        "| persons | queries | mAP with | mAP without |",
        "| --- | --- | --- | --- |",
    ]
    for name in folds[0]["slices"]:
        sides = [f["slices"].get(name, {}) for f in folds]
        both = {
            side: [s[side] for s in sides if side in s and s[side]["queries"]]
            for side in ("with", "without")
        }
        counts = {side: sum(int(s["queries"]) for s in values) for side, values in both.items()}
        if min(counts.values()) < 20:
            continue
        maps = [sum(s["map"] * s["queries"] for s in both[side]) / counts[side] for side in both]
        lines.append(f"| {name} | {counts['with']} | {maps[0]:.3f} | {maps[1]:.3f} |")
    return [*lines, ""]


def _per_attribute(folds: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Each attribute",
        "",
        "Decision rule `group`; positives: fraction of the crops.",
        "",
        "| attribute | positives | precision | recall | F1 | mA |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in folds[0]["per_attribute"]:
        cells = []
        for key in ("positives", "precision", "recall", "f1", "ma"):
            values = [f["per_attribute"][name][key] for f in folds]
            known = [value for value in values if value is not None]
            cells.append(f"{statistics.mean(known):.3f}" if known else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _precision(smaller: dict[str, Any]) -> list[str]:
    lines = [
        "## What smaller weights lose",
        "",
        "Measured on the first fold: mAP, the farthest that an embedding moves (two persons are "
        "about 1.3 apart), and the largest change of an attribute probability. Half precision "
        "ships.",
        "",
        "| weights | mAP | embedding moves by | probability changes by |",
        "| --- | --- | --- | --- |",
    ]
    for name, part in smaller.items():
        lines.append(
            f"| {name} | {part['map']:.4f} | {part['farthest']:.4f} | {part['attribute']:.4f} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()

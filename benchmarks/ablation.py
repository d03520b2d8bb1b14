"""What each ingredient of the joint recipe is worth: short trainings that differ in one thing.

    python benchmarks/ablation.py --data DATA [--weights FILE] [--only NAME ...]

Every variant is trained for the same number of epochs into RUNS/ablation-NAME and scored, without
mirror images, on the persons kept for calibration (choose a recipe by these) and on the held-out
persons (choose nothing by these). A finished run is only scored; what was measured of other
variants stays. A line is printed and kept as soon as a variant is done.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from both_tasks import DRAWS, attributes, retrieval
from passerby.cli.train import train_with_progress
from passerby.data import read_crops
from passerby.embedding import Embeddings, ModelInfo, RuntimeModel
from passerby.files import write_json, write_text
from passerby.ranking import Distance
from passerby.training import Recipe, load_recipe

COMMAND = "python benchmarks/ablation.py --data DATA --weights FILE"

BEFORE = [
    "loss.attributes.weighting=deepmar",
    "augment.brightness=0",
    "augment.contrast=0",
    "augment.saturation=0",
]
"""The recipe as it was before this table decided on it; each variant changes it."""

VARIANTS: dict[str, tuple[str, list[str]]] = {
    # name: (what is done, how)
    "as-it-is": ("the recipe before, shortened", []),
    "attribute-weight-5": ("attribute loss five times as heavy", ["loss.attributes.weight=5"]),
    "attribute-weight-20": ("twenty times as heavy", ["loss.attributes.weight=20"]),
    "independent": ("a sigmoid for each colour and age, no softmax", ["model.groups=independent"]),
    "unweighted": ("attributes not weighted by frequency", ["loss.attributes.weighting=none"]),
    "unweighted-20": (
        "not weighted by frequency, twenty times as heavy",
        ["loss.attributes.weighting=none", "loss.attributes.weight=20"],
    ),
    "unweighted-20-dropout": (
        "the same, and dropout of one half before the attributes",
        ["loss.attributes.weighting=none", "loss.attributes.weight=20", "model.dropout=0.5"],
    ),
    "jitter": (
        "brightness, contrast and saturation varied by 20 %",
        ["augment.brightness=0.2", "augment.contrast=0.2", "augment.saturation=0.2"],
    ),
    "two-crops": ("two crops of a person in a batch, not four", ["crops_per_person=2"]),
    "dropout": ("dropout of one half before the attributes", ["model.dropout=0.5"]),
    "learn-erased": ("attributes learned from erased crops too", ["loss.attributes.erased=true"]),
    "no-erasing": ("no random erasing", ["augment.erase=0"]),
    "no-identity": (
        "attributes alone",
        ["loss.identity.weight=0", "loss.metric.kind=none"],
    ),
    "no-attributes": ("identity alone", ["loss.attributes.weight=0"]),
    "no-triplet": ("no metric loss", ["loss.metric.kind=none"]),
    "no-average": ("the last weights, no moving average", ["average=0"]),
    "uncertainty": ("loss weights learned", ["loss.balance=uncertainty"]),
    "no-smoothing": ("no label smoothing", ["loss.identity.label_smoothing=0"]),
    "stride-2": ("last stride 2", ["model.last_stride=2"]),
    "average-pool": ("average pooling, no GeM", ["model.pool=avg"]),
    "no-neck": ("no batch-norm neck", ["model.neck=none"]),
    "no-warmup": ("no warm-up", ["phases.0.warmup_epochs=0"]),
    "constant": ("constant learning rate, no cosine", ["phases.0.schedule=constant"]),
}

COLUMNS = (
    ("mAP", "map"),
    ("mAP across cameras", "map_cross"),
    ("top-1", "top1"),
    ("macro F1", "f1"),
    ("mA", "ma"),
    ("official 12", "official12"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="pretrained", help="ImageNet weights of the backbone")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    for name in options.only:
        run = options.runs / f"ablation-{name}"
        recipe = shortened(VARIANTS[name][1], options.weights, options.epochs)
        train_with_progress(recipe, options.data, run, resume=True)
        keep(name, scored(run, options.data), options.out)


def shortened(overrides: list[str], weights: str, epochs: int) -> Recipe:
    """Return the recipe with one change and a single phase, of small crops."""
    small = [
        "model.size=[96, 48]",
        f"model.weights={weights}",
        f"phases.0.epochs={epochs}",
        "phases.0.schedule=cosine",
    ]
    recipe = load_recipe("joint-cpu", [*small, *BEFORE, *overrides])
    return recipe.model_copy(update={"phases": recipe.phases[:1]})


def scored(run: Path, data: Path) -> dict[str, Any]:
    """Score the persons kept for calibration, and those held out."""
    model = RuntimeModel.load(run)
    training = model.info.training
    crops = read_crops(data)
    kept, held_out = (
        model.embed(crops.of_persons(persons))
        for persons in (training.calibration_persons, training.held_out_persons)
    )
    return {
        "training_persons": len(training.persons),
        "epochs": training.epochs,
        "minutes": round(training.seconds / 60, 1),
        "machine": training.machine,
        "calibration": figures(kept, model.info),
        "held_out": figures(held_out, model.info),
    }


def figures(people: Embeddings, info: ModelInfo) -> dict[str, float]:
    """Return the means of ten draws, and the attributes' averages."""
    draws = [retrieval(people, Distance(features="embedding"), draw) for draw in range(DRAWS)]
    rules = attributes(people, info)
    return {
        **{key: statistics.mean(draw[key] for draw in draws) for key in draws[0]},
        **rules["fixed"],
        "official12": rules["group"]["official12"],
    }


def keep(name: str, result: dict[str, Any], out: Path) -> None:
    """Add a variant to the results."""
    target = out / "ablation.json"
    before = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    both = {**before, name: result}
    results = {known: both[known] for known in VARIANTS if known in both}
    write_json(target, results)
    write_text(out / "ablation.md", page(results))
    print(_row(VARIANTS[name][0], result["calibration"]), flush=True)


def page(results: dict[str, Any]) -> str:
    first = next(iter(results.values()))
    lines = [
        "# What each ingredient of the joint recipe is worth",
        "",
        f"Generated by `{COMMAND}`; all figures are in [ablation.json](ablation.json).",
        "",
        f"Recipe `joint-cpu`, shortened to {first['epochs']} epochs of 96×48 pixels with a cosine "
        "schedule, split 0,",
        f"{first['training_persons']} persons, one seed; each row changes one thing in the recipe "
        "as it was before: attributes weighted by DeepMAR, colours not varied.",
        f"{first['machine']}. Protocol `course`, means of ten draws, no mirror images, no",
        "re-ranking; F1 and mA at a probability of 0.5. Differences below about 0.01 are noise.",
    ]
    for title, key in (
        ("The persons kept for calibration, by whom the recipe was chosen", "calibration"),
        ("The held-out persons, by whom nothing was chosen", "held_out"),
    ):
        lines += [
            "",
            f"## {title}",
            "",
            "| variant | " + " | ".join(name for name, _ in COLUMNS) + " |",
            "| --- |" + " --- |" * len(COLUMNS),
        ]
        lines += [_row(VARIANTS[name][0], result[key]) for name, result in results.items()]
    return "\n".join([*lines, ""])


def _row(title: str, figures: dict[str, float]) -> str:
    return f"| {title} | " + " | ".join(f"{figures[key]:.3f}" for _, key in COLUMNS) + " |"


if __name__ == "__main__":
    main()

"""Which ingredients help on cameras that a model has never seen; each row is one short training.

    python benchmarks/unseen_ablation.py --data DATA [--weights FOLDER] [--only NAME …]

DATA holds `market1501-unitn/`, `cuhk03/`, `peta/` and `pa100k/`. Everything but CAVIAR4REID and
SARC3D is trained on, and these two choose; 3DPeS and CUHK03, which figures are reported on, choose
nothing: they are among what is trained on here. Rows are kept as they come.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from generalisation import scored, with_weights
from passerby.cli.train import train_with_progress
from passerby.files import write_json, write_text
from passerby.inference.model_info import read_model_info
from passerby.training import Recipe, load_recipe

COMMAND = "python benchmarks/unseen_ablation.py --data DATA"
CHOOSING = {"CAVIAR4REID": "peta/CAVIAR4REID", "SARC3D": "peta/SARC3D"}
MARKET = "market1501-unitn"
EVERYTHING = [
    MARKET,
    {"path": "cuhk03", "splits": ["train", "query", "gallery"]},
    *(
        {"path": f"peta/{name}", "accept_missing": True}
        for name in ("3DPeS", "TownCentre", "CUHK", "MIT")
    ),
    {"path": "pa100k", "accept_missing": True},
]
WITH_PERSONS = EVERYTHING[:4]
COLOURS = ["augment.hue=0.05", "augment.grayscale=0.1"]
STYLE = ["model.style.kind=instance_norm"]

VARIANTS: dict[str, tuple[str, list[str]]] = {
    "all": ("all sets, balance one half, no norms", []),
    "market": ("Market-1501 alone", [f"data.sets=[{MARKET}]"]),
    "instance-norm": ("gated instance normalisation after two stages", STYLE),
    "instance-norm-3": (
        "the same after three stages",
        [*STYLE, "model.style.stages=3"],
    ),
    "input-norm": ("colours of each crop half normalised", ["model.style.input=0.5"]),
    "input-norm-1": ("colours of each crop wholly normalised", ["model.style.input=1"]),
    "both-norms": ("half normalised colours, and both stages", [*STYLE, "model.style.input=0.5"]),
    "mixstyle": ("MixStyle after two stages", ["model.style.kind=mixstyle"]),
    "colours": ("hue and grey as well", COLOURS),
    "quality": (
        "blur and lower resolution as well",
        ["augment.blur=0.2", "augment.resolution=0.3"],
    ),
    "erasing": ("random erasing", ["augment.random_erasing=0.4"]),
    "as-they-come": ("sets as large as they are", ["data.balance=1"]),
    "equal": ("as many crops of each set", ["data.balance=0"]),
    "quarter": ("in between", ["data.balance=0.25"]),
    "decay": ("weight decay of one half", ["phases.0.weight_decay=0.5"]),
    "no-average": ("the last weights, no moving average", ["ema_decay=0"]),
    "embedding-1280": ("the backbone's own features", ["model.embedding_size=0"]),
    "no-attributes": (
        "identity alone",
        ["loss.attributes.weight=0", f"data.sets={json.dumps(WITH_PERSONS)}"],
    ),
    "within-sets": (
        "persons compete within their set alone",
        ["loss.identity.within_sets=true"],
    ),
    "no-triplet": ("no metric loss", ["loss.metric.kind=none"]),
}
"""Name: what is done, and how."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="a folder of BACKBONE.safetensors")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants; all if left out")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    unknown = set(options.only or ()) - set(VARIANTS)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))}: choose from {', '.join(VARIANTS)}")
    for name in options.only or VARIANTS:
        run = options.runs / f"unseen-{name}-{options.epochs}-{options.seed}"
        overrides = [
            f"precision={options.precision}",
            f"phases.0.epochs={options.epochs}",
            f"seed={options.seed}",
        ]
        recipe = short_recipe([*overrides, *VARIANTS[name][1]], options.weights)
        train_with_progress(recipe, options.data, run, resume=True)
        keep(f"{name} {options.seed}", measured(run, options.data), options.out)


def short_recipe(overrides: list[str], weights: Path | None) -> Recipe:
    """Return the recipe with changes and a single phase of small crops."""
    given = [
        f"data.sets={json.dumps(EVERYTHING)}",
        "model.size=[96, 48]",
        "phases.0.schedule=cosine",
        "model.style={kind: none}",
        "data.balance=0.5",
        "loss.identity.within_sets=false",
        "phases.0.weight_decay=0.02",
        *overrides,
    ]
    recipe = load_recipe("general-cpu", given)
    first = recipe.phases[0].model_copy(update={"size": None})
    return with_weights(recipe.model_copy(update={"phases": (first,)}), weights)


def measured(run: Path, data: Path) -> dict[str, Any]:
    training = read_model_info(run / "model").training
    sets = {
        title: scored(data / folder, ("--trials", "10"), run) for title, folder in CHOOSING.items()
    }
    return {
        "epochs": training.epochs,
        "minutes": round(training.seconds / 60, 1),
        "machine": training.machine,
        "precision": training.precision,
        "sets": sets,
    }


def keep(name: str, result: dict[str, Any], out: Path) -> None:
    """Add a row to the results."""
    target = out / "unseen-ablation.json"
    rows = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    rows[name] = result
    write_json(target, rows)
    write_text(out / "unseen-ablation.md", page(rows))


def page(rows: dict[str, Any]) -> str:
    first = next(iter(rows.values()))
    lines = [
        "# Ingredients, on cameras that were never seen",
        "",
        f"Generated by `{COMMAND}`; [unseen-ablation.json](unseen-ablation.json). Recipe "
        f"`general-cpu`, shortened to one phase of 96×48 pixels and {first['epochs']} epochs of "
        "12,000 crops, trained on all sets but CAVIAR4REID and SARC3D, whose figures these are: "
        "one random query a person against all others, mean of ten draws, mirror images averaged; "
        "mA over the attributes that the mappings tell. The number behind a name is the seed.",
        "",
        "| row | " + " | ".join(f"{t} rank-1 | {t} mAP" for t in CHOOSING) + " | mean mAP | mA |",
        "| --- " * (2 * len(CHOOSING) + 3) + "|",
    ]
    for name, row in rows.items():
        variant, _, seed = name.rpartition(" ")
        found = [row["sets"][title]["retrieval"] for title in CHOOSING]
        cells = [f"{f['top1']:.3f} | {f['map']:.3f}" for f in found]
        mean = sum(f["map"] for f in found) / len(found)
        told = [s["attributes"]["ma"] for s in row["sets"].values() if "attributes" in s]
        ma = f"{sum(told) / len(told):.3f}" if told else "–"
        lines.append(
            f"| {VARIANTS[variant][0]}, {seed} | {' | '.join(cells)} | {mean:.3f} | {ma} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

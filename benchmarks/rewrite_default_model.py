"""Rewrite the shipped model's `model.json` from format 1 to 2; network and weights stay untouched.

    python benchmarks/rewrite_default_model.py --data DATA

DATA holds `market1501-unitn/`, whose training crops the model was trained on: `seen_files.npz` gets
the first 8 bytes of the SHA-256 of each. Nobody was kept for its calibration, which its folds
measured on some of these persons. Thresholds, calibrations and frequencies are taken over value by
value. A file of format 2 is left alone.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from passerby.data import Crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import ModelInfo, describe_files, write_model_info
from passerby.inference.model_location import DEFAULT_MODEL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    before = json.loads((DEFAULT_MODEL / "model.json").read_text())
    if before["format"] != 1:
        print("It has format 2 already.")
        return
    crops = Crops(sorted((options.data / "market1501-unitn" / "train").glob("*.jpg")))
    if len(crops) != before["training"]["crops"]:
        raise SystemExit(f"{len(crops)} crops, but it was trained on {before['training']['crops']}")
    SeenFiles.of(training=crops).write(DEFAULT_MODEL)
    info = ModelInfo.model_validate(rewrite(before))
    info = info.model_copy(update=describe_files(DEFAULT_MODEL, info.preprocessing))
    write_model_info(DEFAULT_MODEL, info)


def rewrite(before: dict[str, Any]) -> dict[str, Any]:
    """Return the content of format 2, without what is computed of the files."""
    gone = ("schema_name", "attributes", "weights", "calibration_data")
    after = {key: value for key, value in before.items() if key not in gone}
    if before["attributes"] != list(MARKET1501_ATTRIBUTES.names):
        raise SystemExit("its attributes are not Market-1501's")
    training = dict(before["training"])
    for key in ("data", "unlabelled"):
        training.pop(key)
    for key in ("persons", "calibration_persons", "held_out_persons"):
        names = [f"{person:04d}" for person in training[key]]
        training[key] = {"course": names} if names else {}
    recipe = dict(training["recipe"])
    recipe["instances_per_person"] = recipe.pop("crops_per_person")
    recipe["ema_decay"] = recipe.pop("average")
    augment = dict(recipe["augment"])
    augment["random_erasing"] = augment.pop("erase")
    training["recipe"] = recipe | {"augment": augment}
    distances = [
        {**known, "distance": known["distance"] | {"metric": METRICS[known["distance"]["metric"]]}}
        for known in before["distances"]
    ]
    return after | {
        "format": 2,
        "schema": MARKET1501_ATTRIBUTES.to_dict(),
        "training": training,
        "distances": distances,
    }


METRICS = {"cosine": "normalized_euclidean", "euclidean": "euclidean"}


if __name__ == "__main__":
    main()

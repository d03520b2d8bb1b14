"""How well descriptions find people: real crops of persons whom the model was not trained on.

    python benchmarks/gallery_descriptions.py --data DATA --model RUN

Puts the held-out crops into a gallery and asks for every attribute, and for every pair of
attributes of different fields, that at least two and not all of the persons have. All crops are
ordered by how probably they fulfil the description; a crop is right if its person's labels do.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery_page import keep
from passerby.calibration import AnswerRule
from passerby.data import MARKET1501_ATTRIBUTES, Crops
from passerby.datasets import read_crops
from passerby.gallery import Gallery, Sighting
from passerby.inference import RuntimeModel
from passerby.inference.leakage import leave_out_seen

LEAST_PERSONS = 2
TOP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    model = RuntimeModel.load(options.model)
    crops = leave_out_seen(read_crops(options.data), model.info)
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        gallery = Gallery.create(Path(place) / "gallery", model, images="paths")
        gallery.add([Sighting(path) for path in crops.paths])
        assert len(gallery) == len(crops)
        singles = {
            name: measured(gallery, crops, (name,))
            for name in MARKET1501_ATTRIBUTES.attributes
            if asked(crops, (name,))
        }
        pairs = {
            " and ".join(pair): measured(gallery, crops, pair)
            for pair in of_two_fields()
            if asked(crops, pair)
        }
    found = {
        "crops": len(crops),
        "persons": len(crops.person_ids),
        "model": model.info.name,
        "split": model.info.training.recipe["data"]["seed"],
        "queries": {"one attribute": averages(singles), "two attributes": averages(pairs)},
        "each": singles,
        "machine": f"{os.cpu_count()}-core {platform.machine()} CPU",
    }
    keep("descriptions", found, options.out)
    print(found["queries"])


def of_two_fields() -> list[tuple[str, str]]:
    return [
        pair
        for one, two in itertools.combinations(MARKET1501_ATTRIBUTES.fields, 2)
        for pair in itertools.product(one.attributes, two.attributes)
    ]


def asked(crops: Crops, names: tuple[str, ...]) -> bool:
    """Tell whether enough persons fulfil a description, and not all."""
    assert crops.labels is not None
    persons, labels = crops.person_labels()
    fulfilled = labels[:, [MARKET1501_ATTRIBUTES.index(name) for name in names]].all(axis=1)
    return LEAST_PERSONS <= fulfilled.sum() < len(persons)


def measured(gallery: Gallery, crops: Crops, names: tuple[str, ...]) -> dict[str, float]:
    # every probability is at least 0: the description orders the crops and leaves out none
    where = " and ".join(f"{name} >= 0" for name in names)
    answers = gallery.search(where=where, rule=AnswerRule("top_k", len(crops))).answers
    assert crops.labels is not None
    right = crops.labels[:, [MARKET1501_ATTRIBUTES.index(name) for name in names]].all(axis=1)
    row = {str(path.absolute()): number for number, path in enumerate(crops.paths)}
    hits = np.array([right[row[answer.path or ""]] for answer in answers])
    return {
        "precision20": float(hits[:TOP].mean()),
        "ap": average_precision(hits),
        "chance": float(right.mean()),
    }


def average_precision(hits: NDArray[np.bool_]) -> float:
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def averages(queries: dict[str, dict[str, float]]) -> dict[str, Any]:
    keys = ("precision20", "ap", "chance")
    means = {key: statistics.mean(query[key] for query in queries.values()) for key in keys}
    return {"count": len(queries), **means}


if __name__ == "__main__":
    main()

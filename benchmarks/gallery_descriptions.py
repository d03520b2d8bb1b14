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
from passerby.data import Crops
from passerby.data.crops import person_labels
from passerby.data.query_language import quote_name
from passerby.datasets import read_crops
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.gallery import Gallery
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
    crops = leave_out_seen(read_crops(options.data), model.info, model.seen)
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        gallery = Gallery.create(Path(place) / "gallery", model, images="paths")
        gallery.add(crops)
        assert len(gallery) == len(crops)
        singles = {
            name: measured(gallery, crops, (name,))
            for name in MARKET1501_ATTRIBUTES.names
            if asked(crops, (name,))
        }
        pairs = {
            " and ".join(pair): measured(gallery, crops, pair)
            for pair in of_two_fields()
            if asked(crops, pair)
        }
    found = {
        "crops": len(crops),
        "persons": crops.person_count,
        "model": model.info.name,
        "split": model.info.training.recipe["data"]["seed"],
        "queries": {"one attribute": averages(singles), "two attributes": averages(pairs)},
        "each": singles,
        "machine": f"{os.cpu_count()}-core {platform.machine()} CPU",
    }
    keep("descriptions", found, options.out)
    print(found["queries"])


def of_two_fields() -> list[tuple[str, str]]:
    names = MARKET1501_ATTRIBUTES.names
    return [
        pair
        for one, two in itertools.combinations(MARKET1501_ATTRIBUTES.fields, 2)
        for pair in itertools.product(names[one.place], names[two.place])
    ]


def asked(crops: Crops, names: tuple[str, ...]) -> bool:
    """Tell whether enough persons fulfil a description, and not all."""
    persons = fulfilled(person_labels(crops), names)
    return bool(LEAST_PERSONS <= persons.sum() < len(persons))


def fulfilled(labels: NDArray[np.floating], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Tell which rows of labels say that all of these attributes are there."""
    places = [MARKET1501_ATTRIBUTES.index(name) for name in names]
    return np.all(labels[:, places] >= 0.5, axis=1)


def measured(gallery: Gallery, crops: Crops, names: tuple[str, ...]) -> dict[str, float]:
    # every probability is at least 0: the description orders the crops and leaves out none
    where = " and ".join(f"{quote_name(name)} >= 0" for name in names)
    answers = gallery.search(where=where, rule=AnswerRule("top_k", len(crops))).answers
    assert crops.labels is not None
    right = fulfilled(crops.labels, names)
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

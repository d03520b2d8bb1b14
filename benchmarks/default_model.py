"""Makes the model that ships with the package out of a run on everybody and its folds.

    python benchmarks/default_model.py --data DATA --run RUN --folds RUN ...
    python benchmarks/default_model.py --data DATA --int8

Calibrates RUN by its folds, on persons whom these never saw, across cameras; writes it to
src/passerby/default_model in half precision, and stores what it answers about a few crops in
tests/default_model.json: toy crops, and the first training crops of Market-1501, of which the file
holds numbers only. Then, or alone, makes the same model in 8 bits, of crops of CUHK03.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from passerby.cli.calibrate import calibrate
from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.files import write_json
from passerby.inference import RuntimeModel
from passerby.inference.model_location import DEFAULT_MODEL, SHIPPED, find_model
from passerby.models.half_precision import save_half_precision
from passerby.models.int8 import save_int8
from passerby.toy import write_toy

ANSWERS = Path(__file__).parent.parent / "tests" / "default_model.json"
MARKET = "market1501-unitn"
CALIBRATED_ON = (MARKET, "cuhk03", "peta/3DPeS")
"""Below DATA, those with several crops a person of which a fold was kept from some or all."""

CROPS = 4
SHOWN = 16
"""Of each embedding so many values are stored."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--folds", type=Path, nargs="+")
    parser.add_argument("--int8", action="store_true", help="only make the model in 8 bits")
    options = parser.parse_args()
    if not options.int8:
        half_precision(options)
    small = SHIPPED["shipped-int8"]
    crops = read_crops(options.data / "cuhk03").without_labels()
    _, agreement = save_int8(DEFAULT_MODEL, small, crops, say=print)
    size = sum(file.stat().st_size for file in small.iterdir()) / 1e6
    print(f"{small}: {size:.1f} MB; {agreement}")


def half_precision(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place:
        # the run itself stays as it was trained
        copy = Path(place) / "model"
        shutil.copytree(find_model(options.run), copy)
        data = [options.data / name for name in CALIBRATED_ON]
        calibrate(copy, data, across_cameras=True, accept_missing=True, folds=options.folds)
        save_half_precision(copy, DEFAULT_MODEL)
        write_toy(Path(place) / "toy", persons=4, seed=0, crops_per_person=2)
        toy = read_crops(Path(place) / "toy")[:CROPS]
        real = read_crops(options.data / MARKET)[:CROPS]
        write_json(ANSWERS, {"toy": answers(toy), "real": answers(real)})
    size = sum(file.stat().st_size for file in DEFAULT_MODEL.iterdir()) / 1e6
    print(f"{DEFAULT_MODEL}: {size:.1f} MB")


def answers(crops: Crops) -> dict[str, Any]:
    found = RuntimeModel.load().embed(crops)
    return {
        "files": [path.name for path in crops.paths],
        "embeddings": [[round(v, 5) for v in row[:SHOWN].tolist()] for row in found.vectors],
        "attributes": [[round(v, 5) for v in row.tolist()] for row in found.known_attributes],
    }


if __name__ == "__main__":
    main()

"""How fast a model embeds on one core, by what runs it, and what 8 bits cost on persons.

    python benchmarks/inference.py --quantise-on CROPS --held-out DATA [--model MODEL]

Crops/s of torch, of ONNX Runtime in single precision and in 8 bits, and of OpenVINO with each, in
one process on one core, in turns; medians are compared. The network in 8 bits is made here from
CROPS, as `passerby export --precision int8` does it. DATA has queries and a gallery of persons whom
the model never saw, such as CUHK03 for the run `without-cuhk` of `generalisation.py`; its mAP is
compared in both precisions. Results: docs/results/inference.json
and .md.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.datasets import read_crops
from passerby.evaluation import EvaluationProtocol, evaluate
from passerby.files import write_json, write_text
from passerby.inference import RuntimeModel, find_model
from passerby.inference.leakage import has_training_crops
from passerby.inference.runtime_model import normalize_pixels
from passerby.models.int8 import save_int8
from passerby.models.model_file import load_person_model
from passerby.models.person_model import outputs_of
from passerby.ranking import Distance

COMMAND = "python benchmarks/inference.py --quantise-on CROPS --held-out DATA --model RUN"
BATCH = 32
FLAGS = ("avx2", "avx512_vnni", "avx512_bf16", "amx_bf16")
ASKED = {"int8": 2.2, "openvino": 1.45}
MOST_MAP = 0.003
TITLES = {
    "torch": "torch, single precision",
    "fp32": "ONNX Runtime, single precision",
    "int8": "ONNX Runtime, 8 bits",
    "openvino": "OpenVINO, bfloat16 where the CPU has it",
    "openvino-int8": "OpenVINO, the network in 8 bits",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--quantise-on", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    crops = read_crops(options.quantise_on, accept_missing=True).without_labels()
    with tempfile.TemporaryDirectory() as place:
        small = Path(place) / "int8"
        _, agreement = save_int8(options.model, small, crops, say=print)
        results = {
            "model": RuntimeModel.load(options.model).info.name,
            "machine": f"{platform.machine()} CPU with " + ", ".join(flags()),
            "versions": {name: version(name) for name in ("onnxruntime", "openvino", "torch")},
            "rates": rates(options.model, small, options.rounds),
            "left_out": list(agreement.left_out),
            "cosine": agreement.cosine,
            "mean_cosine": agreement.mean_cosine,
            "megabytes": {
                "as it is": megabytes(find_model(options.model)),
                "int8": megabytes(small),
            },
            "held_out": options.held_out.name,
            "map": {
                name: mean_average_precision(source, options.held_out)
                for name, source in (("fp32", options.model), ("int8", small))
            },
        }
    write_json(options.out / "inference.json", results)
    write_text(options.out / "inference.md", page(results))
    print(results)


def flags() -> list[str]:
    """Return which instructions for short numbers the CPU has."""
    told = Path("/proc/cpuinfo")
    known = set(told.read_text().split()) if told.is_file() else set()
    return [flag for flag in FLAGS if flag in known] or ["none for short numbers that are known"]


def rates(model: str | None, small: Path, rounds: int) -> dict[str, list[float]]:
    """Return crops/s of each way in each round."""
    plain = RuntimeModel.load(model, threads=1)
    network = load_person_model(model).eval()
    pixels = np.random.default_rng(0).integers(
        0, 256, (BATCH, *plain.info.preprocessing.size, 3), np.uint8
    )

    def torch_eager() -> None:
        inputs = torch.from_numpy(normalize_pixels(pixels, plain.info.preprocessing))
        with torch.inference_mode():
            outputs_of(network, inputs)

    ways: dict[str, Callable[[], object]] = {"torch": torch_eager}
    for name, source, backend in (
        ("fp32", model, "onnxruntime"),
        ("int8", small, "onnxruntime"),
        ("openvino", model, "openvino"),
        ("openvino-int8", small, "openvino"),
    ):
        ways[name] = runner(RuntimeModel.load(source, threads=1, backend=backend), pixels)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            work()
            started = time.perf_counter()
            work()
            found[name].append(round(BATCH / (time.perf_counter() - started), 1))
    return found


def runner(model: RuntimeModel, pixels: NDArray[np.uint8]) -> Callable[[], object]:
    return lambda: model.run(pixels)


def megabytes(folder: Path) -> float:
    return round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6, 1)


def mean_average_precision(source: str | Path | None, data: Path) -> float:
    model = RuntimeModel.load(source)
    people, gallery = (
        read_crops(data, split, accept_missing=True).without_labels()
        for split in ("query", "gallery")
    )
    for crops in (people, gallery):
        if has_training_crops(crops, model.seen):
            raise SystemExit(f"{model.info.name} learned from crops of {data}: take others.")
    report = evaluate(
        model.embed(people),
        model.embed(gallery),
        protocol=EvaluationProtocol.named("market"),
        distance=Distance(features="embedding"),
        resamples=0,
    )
    assert report.retrieval is not None
    return round(report.retrieval.metrics["map"], 4)


def page(results: dict[str, Any]) -> str:
    medians = {name: statistics.median(found) for name, found in results["rates"].items()}
    lost = results["map"]["fp32"] - results["map"]["int8"]
    lines = [
        "# Embedding on one core",
        "",
        f"Generated by `{COMMAND}`; [inference.json](inference.json). Model {results['model']}, "
        f"batches of {BATCH} decoded crops, one core of an {results['machine']}; medians of "
        f"{len(results['rates']['fp32'])} rounds in turns. "
        + ", ".join(f"{name} {number}" for name, number in results["versions"].items())
        + ".",
        "",
        "| | crops/s | ratio | asked |",
        "| --- | --- | --- | --- |",
    ]
    for name, title in TITLES.items():
        asked = f"{ASKED[name]}" if name in ASKED else "–"
        ratio = medians[name] / medians["fp32"]
        lines.append(f"| {title} | {medians[name]:.0f} | {ratio:.2f} | {asked} |")
    first, last = results["left_out"]
    kept = [f"the {end} {n}" for end, n in (("first", first), ("last", last)) if n]
    which = f"all layers but {' and '.join(kept)}" if kept else "all layers"
    quality, sizes = results["map"], results["megabytes"]
    lines += [
        "",
        f"In 8 bits (`passerby export --precision int8 --data CROPS`) {which} "
        f"are computed so; smallest cosine between both vectors of a crop {results['cosine']:.4f}, "
        f"mean {results['mean_cosine']:.4f}. mAP on persons whom the model never saw, the "
        f"queries and gallery of {results['held_out']}: {quality['int8']:.4f} instead of "
        f"{quality['fp32']:.4f}, {-lost:+.4f} (asked: {-MOST_MAP} at worst); of Market-1501's see "
        f"[the model card](../model-card.md). {sizes['int8']} MB instead of {sizes['as it is']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

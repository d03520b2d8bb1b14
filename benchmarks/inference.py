"""The runtime against torch: crops/s of the same model on one core, in one process.

    python benchmarks/inference.py [--backbone resnet50 --size 256 128]

Prints crops/s of the ONNX form on ONNX Runtime and of torch eager in fp32, and their ratio; the
goal is 2.0 or more. Both run in turns, several times; medians are compared.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.inference import RuntimeModel
from passerby.inference.runtime_model import normalize_pixels
from passerby.models import Architecture, PersonModel, save_model
from passerby.models.person_model import outputs_of
from passerby.training.hardware import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "tf_efficientnet_lite0"])
    parser.add_argument("--size", type=int, nargs=2, default=[256, 128])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"machine: one core of a {machine()}; {options.size[0]}×{options.size[1]}, fp32")
    for backbone in options.backbones:
        ours, theirs = compared(backbone, tuple(options.size), options.batch, options.rounds)
        print(
            f"{backbone:24} passerby {ours:7.1f} crops/s   torch eager {theirs:7.1f} crops/s   "
            f"ratio {ours / theirs:.2f}  (goal: 2.0 or more)"
        )


def compared(backbone: str, size: tuple[int, int], batch: int, rounds: int) -> tuple[float, float]:
    """Return the medians of crops/s of the runtime and of torch, both from decoded pixels."""
    torch.manual_seed(0)
    model = PersonModel(Architecture(backbone=backbone, size=size), MARKET1501_ATTRIBUTES).eval()
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "model", name=backbone)
        runtime = RuntimeModel.load(Path(folder) / "model", threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), np.uint8)

    def torch_eager() -> None:
        crops = normalize_pixels(pixels, model.preprocessing)
        logits = outputs_of(model, torch.from_numpy(crops)).attributes
        assert logits is not None
        logits.sigmoid().numpy()

    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        rates["ours"].append(batch / _seconds(lambda: runtime.run(pixels)))
        rates["theirs"].append(batch / _seconds(torch_eager))
    return statistics.median(rates["ours"]), statistics.median(rates["theirs"])


def _seconds(work: Callable[[], object]) -> float:
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

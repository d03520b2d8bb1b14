"""Does loading starve the model? Whole training loop against the same model on one resident batch.

    python benchmarks/training.py [--data DATA] [--recipe course-attributes-cpu] [--set KEY=VALUE]

Prints crops/s of both and their ratio; the goal is 0.90 or more. Without DATA it draws toy crops.
Both are measured in turns, several times, in one process; medians are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from passerby.data import read_crops
from passerby.data.toy import write_toy
from passerby.training import Listener, load_recipe
from passerby.training.fit import Split, TrainingRun
from passerby.training.hardware import keep_freed_memory, machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", default="course-attributes-cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data
        if data is None:
            data = Path(folder) / "toy"
            write_toy(data, 250, crops_per_person=16)
        overrides = ["model.weights=none", "data.held_out_persons=10", *options.overrides]
        recipe = load_recipe(options.recipe, overrides)
        run = TrainingRun(recipe, Split.of(read_crops(data), recipe), Path(folder), Listener())
        loop, resident = measured(run, options.steps, options.rounds)
    print(f"machine             {machine()}")
    print(f"recipe              {recipe.name}, batch {recipe.batch_size}, {run.precision}")
    print(f"training loop       {loop:8.1f} crops/s")
    print(f"one resident batch  {resident:8.1f} crops/s")
    print(f"ratio               {loop / resident:8.3f}  (goal: 0.90 or more)")


def measured(run: TrainingRun, steps: int, rounds: int) -> tuple[float, float]:
    """Return the medians of crops/s: of the loop, and on one batch."""
    phase = run.recipe.phases[0]
    optimizer = run.new_optimizer(phase, resumed=False)
    batches = endless(run)
    resident = next(batches)
    rates: dict[str, list[float]] = {"loop": [], "resident": []}
    for _ in range(3):
        run.step(*resident, optimizer)
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(steps):
            run.step(*next(batches), optimizer).item()
        looped = time.perf_counter()
        for _ in range(steps):
            run.step(*resident, optimizer)
        ended = time.perf_counter()
        crops = steps * run.recipe.batch_size
        rates["loop"].append(crops / (looped - started))
        rates["resident"].append(crops / (ended - looped))
    return statistics.median(rates["loop"]), statistics.median(rates["resident"])


def endless(run: TrainingRun) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from run.loader


if __name__ == "__main__":
    main()

"""Does loading starve the model? Whole training loop against the same model on one resident batch.

    python benchmarks/training.py [--data DATA] [--recipe course-attributes-cpu] [--set KEY=VALUE]

Prints crops/s of both and their ratio; the goal is 0.90 or more. Without DATA it draws toy crops.
With --precisions fp32 bf16 also what the second gains over the first. All are measured in turns,
several times, in one process; medians are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from passerby.datasets import read_crops
from passerby.toy import write_toy
from passerby.training import Listener, load_recipe
from passerby.training.crop_dataset import TrainingBatch
from passerby.training.fit import TrainingRun
from passerby.training.hardware import keep_freed_memory, machine
from passerby.training.split import Split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", default="course-attributes-cpu")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--precisions", nargs="+", default=["fp32"])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data
        if data is None:
            data = Path(folder) / "toy"
            write_toy(data, 250, crops_per_person=16)
        runs = {}
        for precision in options.precisions:
            overrides = ["model.weights=none", "data.held_out_persons=10", *options.overrides]
            recipe = load_recipe(options.recipe, [*overrides, f"precision={precision}"])
            split = Split.of(read_crops(data), recipe)
            runs[precision] = TrainingRun(recipe, split, Path(folder) / precision, Listener())
        medians = measured(runs, options.steps, options.rounds)
    print(f"machine             {machine()}")
    print(f"recipe              {recipe.name}, batch {recipe.batch_size}")
    for precision, (loop, resident) in medians.items():
        print(f"{precision}, training loop {loop:8.1f} crops/s")
        print(f"{precision}, one batch     {resident:8.1f} crops/s")
        print(f"ratio               {loop / resident:8.3f}  (goal: 0.90 or more)")
    first, *others = medians
    for other in others:
        print(f"{other} / {first}         {medians[other][0] / medians[first][0]:8.3f}")


def measured(
    runs: dict[str, TrainingRun], steps: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Return each run's medians of crops/s: of the loop, and on one batch."""
    turns = [one_turn(run, steps) for run in runs.values()]
    rates = [[next(turn) for turn in turns] for _ in range(rounds + 1)]
    return {
        name: (
            statistics.median(row[number][0] for row in rates[1:]),
            statistics.median(row[number][1] for row in rates[1:]),
        )
        for number, name in enumerate(runs)
    }


def one_turn(run: TrainingRun, steps: int) -> Iterator[tuple[float, float]]:
    """Yield crops/s of the loop and on one batch, again and again; the first time warms up."""
    phase = run.recipe.phases[0]
    optimizer = run.new_optimizer(phase, resumed=False)
    batches = endless(run)
    resident = next(batches)
    crops = steps * run.recipe.batch_size
    while True:
        started = time.perf_counter()
        for _ in range(steps):
            run.step(next(batches), optimizer, phase.size).item()
        looped = time.perf_counter()
        for _ in range(steps):
            run.step(resident, optimizer, phase.size).item()
        ended = time.perf_counter()
        yield crops / (looped - started), crops / (ended - looped)


def endless(run: TrainingRun) -> Iterator[TrainingBatch]:
    while True:
        yield from run.loader


if __name__ == "__main__":
    main()

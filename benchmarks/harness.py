"""The same work done by Passerby and by its peers, in turns, each time in a process of its own.

The interpreters of the peers run the benchmark's file, and so import this one: it needs NumPy
alone.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from synthetic import Crops, Sizes, loaded, make

Scores = dict[str, float]


@dataclass(frozen=True)
class Contender:
    """Who does the work.

    Attributes:
        label: in tables.
        work: from queries and gallery to scores.
        packages: whose versions are told.
        knows_junk: gets junk in the gallery; the others are spared it.
    """

    label: str
    work: Callable[[Crops, Crops], Scores]
    packages: tuple[str, ...]
    knows_junk: bool = False


@dataclass(frozen=True)
class Contest:
    """A benchmark's file and who takes part; "ours" is Passerby.

    Attributes:
        script: the benchmark's file; each measurement runs `SCRIPT --child NAME INPUTS`.
        contenders: by name.
        figures: the scores that are to agree.
        agreed: up to how much.
    """

    script: str
    contenders: dict[str, Contender]
    figures: Sequence[str]
    agreed: float

    # In a child

    def child(self, task: str, *arguments: str) -> None:
        if task == "make":
            make(*arguments)
        else:
            print(json.dumps(_timed(self.contenders[task], Path(arguments[0]))))

    # In the parent, which holds no embeddings: a child's peak memory starts from its parent's

    def in_turns(
        self, pythons: dict[str, str | None], inputs: Path, rounds: int
    ) -> dict[str, dict[str, Any] | None]:
        """Measure all contenders in each round, in every other round backwards."""
        present = {name: python for name, python in pythons.items() if python}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in present}
        for turn in range(rounds):
            for name in present if turn % 2 == 0 else reversed(present):
                runs[name].append(self.measured(present[name], name, inputs, f"round {turn + 1}"))
        return {name: summary(runs[name]) if name in runs else None for name in pythons}

    def measured(self, python: str, name: str, inputs: Path, when: str) -> dict[str, Any]:
        one: dict[str, Any] = json.loads(self._run(python, name, str(inputs)).splitlines()[-1])
        print(f"{when}: {name} {one['seconds']:.2f} s, {one['peak_memory_mb']} MB", file=sys.stderr)
        return one

    def made(self, inputs: Path, options: argparse.Namespace, distractors: int = 0) -> None:
        numbers = (options.seed, options.part, distractors)
        self._run(sys.executable, "make", str(inputs), *map(str, numbers))

    def _run(self, python: str, *arguments: str) -> str:
        command = [python, "-W", "ignore", self.script, "--child", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    # The page

    def table(self, compared: dict[str, Any]) -> str:
        lines = [
            "| | seconds | ratio to ours | mAP | top-1 | peak memory, MB |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for name, one in compared.items():
            label = self.contenders[name].label
            if one is None:
                lines.append(f"| {label} | not measured | – | – | – | – |")
                continue
            ratio = one["seconds"] / compared["ours"]["seconds"]
            lines.append(
                f"| {label} | {one['seconds']:.2f} | {ratio:.2f} | {one['scores']['map']:.6f} "
                f"| {one['scores']['top1']:.6f} | {one['peak_memory_mb']:,} |"
            )
        return "\n".join(lines)

    def agreement(self, compared: dict[str, Any]) -> str:
        """Say how far each peer's figures are from ours."""
        mine = compared["ours"]["scores"]
        lines = []
        for name, one in compared.items():
            if name == "ours" or one is None:
                continue
            apart = {figure: abs(one["scores"][figure] - mine[figure]) for figure in self.figures}
            verdict = "agree" if max(apart.values()) <= self.agreed else "DO NOT AGREE"
            listed = ", ".join(f"{figure} {value:.1e}" for figure, value in apart.items())
            lines.append(
                f"- {self.contenders[name].label} and ours {verdict} to {self.agreed:.0e}; "
                f"apart: {listed}"
            )
        return "\n".join(lines or ["No peer was measured."])

    def versions(self, compared: dict[str, Any]) -> str:
        lines = []
        for name, one in compared.items():
            if one is not None:
                packages = ", ".join(
                    f"{package} {number}" for package, number in one["versions"].items()
                )
                lines.append(f"- {self.contenders[name].label}: {packages}")
        return "\n".join(lines)


def arguments(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return the options that all contests have."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--torchreid-python", help="an interpreter that has pyppbox-torchreid")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--part", type=float, default=1.0, help="share of Market-1501's size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the JSON file and the page")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the measurements depend on."""
    return {
        "machine": f"{os.cpu_count()}-core {platform.machine()} CPU",
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "python": platform.python_version(),
        "part": options.part,
        "sizes": asdict(Sizes().part(options.part)),
        "seed": options.seed,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = [one["seconds"] for one in runs]
    return {
        "seconds": statistics.median(seconds),
        "all_seconds": seconds,
        "peak_memory_mb": max(one["peak_memory_mb"] for one in runs),
        "scores": runs[0]["scores"],
        "versions": runs[0]["versions"],
    }


def _timed(contender: Contender, inputs: Path) -> dict[str, Any]:
    """Measure once, after a warm-up with few queries that imports what is needed."""
    queries, gallery = loaded(inputs, contender.knows_junk)
    few = queries[:32]
    contender.work(few, gallery[np.isin(gallery.persons, few.persons)])
    started = time.perf_counter()
    scores = contender.work(queries, gallery)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "peak_memory_mb": _peak_memory_mb(),
        "scores": scores,
        "versions": {name: version(name) for name in contender.packages},
    }


def _peak_memory_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))

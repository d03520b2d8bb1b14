"""Whether the shipped model still answers as it did: byte for byte, on the same machine.

    python benchmarks/shipped_answers.py keep --data DATA --out before     # at the earlier commit
    python benchmarks/shipped_answers.py compare --data DATA --before before

DATA holds `market1501-unitn/` and `peta/`. Kept are both result files on the course's test crops
and queries, and `evaluate --json` on two fixed sets: drawn pedestrians and CAVIAR4REID, a folder
each person. A later version may say more in JSON, but nothing else. Floating point differs between
processors, so both commands have to run on one machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULTS = ("classification_test.csv", "reid_test.txt")
SETS = ("toy", "caviar4reid")
RENAMED = {"cosine plain": "normalized_euclidean plain", "euclidean plain": "euclidean plain"}
"""Values that were given a truer name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("keep", "compare"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("shipped-answers"))
    parser.add_argument("--before", type=Path)
    options = parser.parse_args()
    if options.task == "keep":
        keep(options.data, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        now = Path(folder)
        keep(options.data, now)
        problems = differences(options.before, now)
    for problem in problems:
        print(problem)
    print("different" if problems else "the same answers, byte for byte")
    sys.exit(bool(problems))


def keep(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    course = data / "market1501-unitn"
    passerby("predict", course, "--out", out / RESULTS[0])
    passerby(
        "rank", "--queries", course / "queries", "--gallery", course / "test", "--out",
        out / RESULTS[1],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        toy, caviar = Path(folder) / "toy", Path(folder) / "caviar4reid"
        passerby("data", "toy", toy, "--persons", 60)
        folders_of_persons(data / "peta" / "CAVIAR4REID" / "archive", caviar)
        for name in SETS:
            said = passerby("evaluate", "--data", Path(folder) / name, "--flip", "--json")
            (out / f"{name}.json").write_text(said)


def folders_of_persons(archive: Path, target: Path) -> None:
    """Link CAVIAR4REID's crops, named by their persons' first four digits, into one folder each."""
    for image in sorted(archive.glob("*.jpg")):
        folder = target / image.name[:4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / image.name).symlink_to(image.resolve())


def passerby(*arguments: object) -> str:
    command = [sys.executable, "-m", "passerby.cli.main", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def differences(before: Path, now: Path) -> list[str]:
    found = [
        f"{name} differs"
        for name in RESULTS
        if (before / name).read_bytes() != (now / name).read_bytes()
    ]
    for name in SETS:
        earlier, later = (json.loads((f / f"{name}.json").read_text()) for f in (before, now))
        found += [f"{name}: {problem}" for problem in lost(earlier, later)]
    return found


def lost(before: Any, now: Any, where: str = "") -> list[str]:
    """Return what of an earlier JSON value the later one lacks or says otherwise."""
    if isinstance(before, dict) and isinstance(now, dict):
        missing = [f"{where}.{key} is gone" for key in before if key not in now]
        return missing + [
            problem for key in before if key in now for problem in lost(
                before[key], now[key], f"{where}.{key}"
            )
        ]  # fmt: skip
    if RENAMED.get(before, before) if isinstance(before, str) else before == now:
        return [] if before == now or RENAMED.get(before) == now else [f"{where}: {now!r}"]
    return [f"{where} is {now!r}, not {before!r}"]


if __name__ == "__main__":
    main()

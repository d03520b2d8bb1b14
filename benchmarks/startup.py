"""From process start to answer: `passerby --help`, and `predict` of one image.

    python benchmarks/startup.py [--model MODEL] [--image IMAGE]

Prints the median wall time of several processes beside that of an empty Python process; the goals
are 0.5 s and 1.5 s. Without MODEL the one that ships answers; without IMAGE about a toy crop.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from passerby.data.toy import toy_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--image")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    passerby = str(Path(sys.executable).parent / "passerby")
    with tempfile.TemporaryDirectory() as folder:
        image = options.image or drawn(Path(folder) / "crop.png")
        named = ["--model", options.model] if options.model else []
        out = str(Path(folder) / "reid_test.txt")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "passerby --help": [passerby, "--help"],
            "passerby predict IMAGE": [passerby, "predict", image, *named],
            "passerby rank": [
                passerby,
                "rank",
                "--queries",
                image,
                "--gallery",
                image,
                "--out",
                out,
                *named,
            ],
        }
        for name, command in commands.items():
            times = [seconds(command) for _ in range(options.rounds)]
            print(f"{name:24} {statistics.median(times):.2f} s")


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def drawn(path: Path) -> str:
    Image.fromarray(toy_images(1)[0]).save(path)
    return str(path)


if __name__ == "__main__":
    main()

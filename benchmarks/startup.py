"""From process start to answer: `passerby --help`, and `predict` of one image.

    python benchmarks/startup.py [--model MODEL] [--image IMAGE]

Prints the median wall time of several processes beside that of an empty Python process; the goals
are 0.5 s and 1 s. Without MODEL and IMAGE it makes an untrained EfficientNet-Lite0 and a toy crop.
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
        model = options.model or untrained(Path(folder) / "model")
        image = options.image or drawn(Path(folder) / "crop.png")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "passerby --help": [passerby, "--help"],
            "passerby predict IMAGE": [passerby, "predict", image, "--model", model],
        }
        for name, command in commands.items():
            times = [seconds(command) for _ in range(options.rounds)]
            print(f"{name:24} {statistics.median(times):.2f} s")


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def untrained(folder: Path) -> str:
    from passerby.data import COURSE
    from passerby.models import Architecture, PersonModel, save_model

    architecture = Architecture(backbone="tf_efficientnet_lite0", size=(128, 64))
    save_model(PersonModel(architecture, COURSE), folder, name="untrained")
    return str(folder)


def drawn(path: Path) -> str:
    Image.fromarray(toy_images(1)[0]).save(path)
    return str(path)


if __name__ == "__main__":
    main()

"""`passerby demo`: the whole path on drawn pedestrians, offline."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require


def demo(
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("demo"),
) -> None:
    """Draw pedestrians, train both tasks, evaluate, predict and rank, offline, in two minutes."""
    require("train", "torch")
    from passerby.cli.data import toy
    from passerby.cli.evaluate import evaluate
    from passerby.cli.predict import predict
    from passerby.cli.rank import rank
    from passerby.cli.train import train
    from passerby.errors import InputError

    if target.exists():
        raise InputError(
            f"{target} exists already: remove it, or choose another folder with --out."
        )
    data, run = target / "toy", target / "run"
    say(f"$ passerby data toy {data} --persons 60")
    toy(data, persons=60, seed=0, crops_per_person=16)
    say(f"\n$ passerby train smoke --data {data} --out {run}")
    train("smoke", data, run)
    report = target / "report.html"
    say(f"\n$ passerby evaluate {run} --data {data} --report {report}")
    evaluate(str(run), data, report=report)
    answers = target / "classification_test.csv"
    say(f"\n$ passerby predict {data} --model {run} --out {answers}")
    predict(data, str(run), answers)
    first = min((data / "test").iterdir())
    say(f"\n$ passerby predict {first} --model {run}")
    predict(first, str(run))
    found = target / "reid_test.txt"
    queries, gallery = data / "queries", data / "test"
    say(f"\n$ passerby rank --queries {queries} --gallery {gallery} --model {run} --out {found}")
    rank(queries, gallery, str(run), found)
    say(f"\nEverything is in {target}. Next: your own data, see README.md.")

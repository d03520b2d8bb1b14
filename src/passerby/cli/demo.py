"""`passerby demo`: the whole path on drawn pedestrians, offline."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require


def demo(
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("demo"),
) -> None:
    """Draw pedestrians, train, evaluate, predict, rank and search, offline, in two minutes."""
    require("train")
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
    train("smoke", [data], run)
    report = target / "report.html"
    say(f"\n$ passerby evaluate {run} --data {data} --report {report}")
    evaluate([data], str(run), report=report)
    answers = target / "classification_test.csv"
    say(f"\n$ passerby predict {data} --model {run} --out {answers}")
    predict(data, str(run), target=answers)
    first = min((data / "test").iterdir())
    say(f"\n$ passerby predict {first} --model {run}")
    predict(first, str(run))
    found = target / "reid_test.txt"
    queries, gallery = data / "queries", data / "test"
    say(f"\n$ passerby rank --queries {queries} --gallery {gallery} --model {run} --out {found}")
    rank(queries, gallery, str(run), target=found)
    if find_spec("lancedb") is None:
        say("\nThe gallery is left out: it needs the extra 'gallery'.")
    else:
        _fill_gallery(target / "gallery", gallery, str(run), min(queries.iterdir()))
    say(f"\nEverything is in {target}. Next: your own data, see README.md.")


def _fill_gallery(target: Path, crops: Path, model: str, query: Path) -> None:
    from passerby.cli.gallery import add, create, search

    say(f"\n$ passerby gallery create {target} --model {model}")
    create(str(target), model)
    say(f"\n$ passerby gallery add {target} {crops}")
    add(str(target), [crops])
    say(f"\n$ passerby gallery search {target} --image {query} --top-k 5")
    search(str(target), [query], top_k=5)
    say(f"\nOpen the gallery in a browser: passerby serve {target}")

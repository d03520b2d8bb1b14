"""The options that say how data are read."""

from pathlib import Path
from typing import Annotated

import typer

ROOT = Annotated[
    Path | None,
    typer.Option(help="Where a manifest's paths start; its own folder if left out."),
]
PATTERN = Annotated[
    str | None,
    typer.Option(
        help="What names say, such as 'cam{camera}/{track}/*.jpg' or '{person}_{camera}_*'; "
        "datasets of a known layout need none."
    ),
]
ACCEPT_MISSING = Annotated[
    bool,
    typer.Option("--accept-missing", help="Take what is there of a dataset that is not whole."),
]
SPLIT = Annotated[
    str | None,
    typer.Option(
        help="Of a dataset: train, val, query, gallery or test; the one that the command is for "
        "if left out."
    ),
]

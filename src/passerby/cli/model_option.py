"""The options that name a model."""

from typing import Annotated

import typer

MODEL = Annotated[
    str | None,
    typer.Option(
        help="A model file's folder, a run, or a Hub id; the model that ships with Passerby if "
        "left out."
    ),
]

MODEL_ARGUMENT = Annotated[
    str | None,
    typer.Argument(
        help="A model file's folder, a run, or a Hub id; the model that ships with Passerby if "
        "left out."
    ),
]

GALLERY_MODEL = Annotated[
    str | None,
    typer.Option("--model", help="The gallery's model, if it is no longer where it was."),
]

"""The option that names a model."""

from typing import Annotated

import typer

MODEL = Annotated[
    str | None,
    typer.Option(
        help="A model file's folder, a run, or a Hub id; the model that ships with Passerby if "
        "left out."
    ),
]

"""The options that name a model, and what runs it."""

from typing import Annotated

import typer

_HELP = (
    "A model file's folder, a run, or a Hub id; the model that ships with Passerby if left out, or "
    "`shipped-int8`, the same in 8 bits."
)

MODEL = Annotated[str | None, typer.Option(help=_HELP)]
MODEL_ARGUMENT = Annotated[str | None, typer.Argument(help=_HELP)]

GALLERY_MODEL = Annotated[
    str | None,
    typer.Option(
        "--model", help="The gallery's model, if it is no longer where it was, or an export of it."
    ),
]

BACKEND = Annotated[
    str, typer.Option(help="What runs the network: onnxruntime, or openvino (an extra).")
]
DEVICE = Annotated[str, typer.Option(help="As the backend names it: cpu, cuda, cuda:1, coreml, …")]

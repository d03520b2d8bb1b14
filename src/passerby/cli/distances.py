"""The options that name a distance."""

from typing import Annotated

import typer

FEATURES = Annotated[
    str | None,
    typer.Option(
        help="What is compared: embedding, attributes, logits or both; the model's best if left "
        "out."
    ),
]
METRIC = Annotated[str | None, typer.Option(help="euclidean or normalized_euclidean; likewise.")]
KIND = Annotated[str | None, typer.Option(help="plain, weighted or learned; likewise.")]

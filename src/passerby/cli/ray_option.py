"""The options of commands that a Ray cluster may do."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.extras import require
from passerby.errors import InputError

if TYPE_CHECKING:
    from passerby.inference.cluster import Cluster

RAY = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Let workers of a Ray cluster do it: HOST:PORT, `auto` for the one that this machine "
        "is in, or `local` for this machine's cores.",
    ),
]
WORKERS = Annotated[
    int | None,
    typer.Option(help="Of --ray; one for each core, or GPU, if not given.", min=1),
]


def opened_cluster(
    address: str | None, workers: int | None
) -> "AbstractContextManager[Cluster | None]":
    """Return the cluster that was asked for, to be entered.

    Raises:
        InputError: the extra is missing, or workers are given without a cluster.
    """
    if address is None:
        if workers is not None:
            raise InputError(
                "--workers are those of a cluster: give --ray too, such as --ray local."
            )
        return nullcontext()
    require("ray")
    from passerby.inference.cluster import Cluster

    return Cluster(address, workers)

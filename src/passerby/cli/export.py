"""`passerby export`."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require


def export(
    model: Annotated[str, typer.Argument(help="A model file's folder, a run, or a Hub id.")],
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    precision: Annotated[
        str, typer.Option(help="fp16: weights in half precision, stored once for both forms.")
    ] = "fp16",
) -> None:
    """Write a smaller model file that answers almost the same; drawn crops try it."""
    require("train")
    from passerby.embedding import find_model
    from passerby.errors import InputError
    from passerby.models.half_precision import save_half_precision

    if precision != "fp16":
        raise InputError(f"--precision is {precision!r}: fp16 is what can be written.")
    source = find_model(model).resolve()
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"{target} exists: choose another place.")
    save_half_precision(source, target)
    before, after = _megabytes(source), _megabytes(target)
    say(f"Written to {target}: {after:.1f} MB instead of {before:.1f} MB.")


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6

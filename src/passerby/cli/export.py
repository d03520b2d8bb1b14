"""`passerby export`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require
from passerby.cli.model_option import MODEL_ARGUMENT


def export(
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    model: MODEL_ARGUMENT = None,
    precision: Annotated[
        str, typer.Option(help="fp16: weights in half precision, stored once for both forms.")
    ] = "fp16",
) -> None:
    """Write a smaller model file that answers almost the same; drawn crops try it.

    One in half precision, such as the model that ships with Passerby, is copied.
    """
    from passerby.errors import InputError
    from passerby.files import replacing
    from passerby.inference import find_model
    from passerby.inference.model_info import INFO_NAME, read_model_info

    if precision != "fp16":
        raise InputError(f"--precision is {precision!r}: fp16 is what can be written.")
    source = find_model(model).resolve()
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"{target} exists: choose another place.")
    info = read_model_info(source)
    if info.precision == "fp16":
        with replacing(target) as draft:
            draft.mkdir()
            for name in (INFO_NAME, *info.files):
                shutil.copyfile(source / name, draft / name)
        say(f"Copied to {target}: it is in half precision already.")
        return
    require("train")
    from passerby.models.half_precision import save_half_precision

    save_half_precision(source, target)
    before, after = _megabytes(source), _megabytes(target)
    say(f"Written to {target}: {after:.1f} MB instead of {before:.1f} MB.")


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6

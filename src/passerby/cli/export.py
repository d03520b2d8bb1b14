"""`passerby export`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.extras import require
from passerby.cli.model_option import MODEL_ARGUMENT
from passerby.cli.reading import choose_split, read_data


def export(
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    model: MODEL_ARGUMENT = None,
    precision: Annotated[
        str,
        typer.Option(
            help="fp16: weights in half precision, stored once for both forms; int8: layers "
            "in 8 bits, faster on CPUs that have the instructions."
        ),
    ] = "fp16",
    data: Annotated[
        Path | None,
        typer.Option(
            help="For int8: crops such as the model will see, some hundred, on which both "
            "precisions are compared; drawn pedestrians if left out."
        ),
    ] = None,
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
) -> None:
    """Write a smaller model file that answers almost the same, which is tried.

    One in half precision, such as the model that ships with Passerby, is copied. Galleries and
    embeddings of the model stay valid for what is exported.
    """
    from passerby.errors import InputError
    from passerby.files import replacing
    from passerby.inference import find_model
    from passerby.inference.model_info import INFO_NAME, read_model_info

    if precision not in ("fp16", "int8"):
        raise InputError(f"--precision is {precision!r}: choose fp16 or int8.")
    if data is None:
        given = {"split": split, "root": root, "pattern": pattern}
        for name in (n for n, value in given.items() if value is not None):
            raise InputError(f"`{name}` is for `data`: leave it out, or give both.")
    if data is not None and precision != "int8":
        raise InputError("`data` is for --precision int8: leave it out.")
    source = find_model(model).resolve()
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"{target} exists: choose another place.")
    info = read_model_info(source)
    before = _megabytes(source)
    if precision == "int8":
        require("train")
        from passerby.models.int8 import save_int8

        crops = None
        if data is not None:
            part = choose_split(data, split, "train", "gallery", pattern=pattern)
            crops = read_data(data, part, root, pattern, accept_missing)
        _, agreement = save_int8(source, target, crops, say=say)
        say(
            f"Written to {target}: {_megabytes(target):.1f} MB instead of {before:.1f} MB; on "
            f"{agreement.crops} {'drawn ' if crops is None else ''}crops {agreement}."
        )
        return
    if info.precision == "int8":
        raise InputError(f"{source} computes in 8 bits already: use it as it is.")
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
    say(f"Written to {target}: {_megabytes(target):.1f} MB instead of {before:.1f} MB.")


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6

"""`passerby model`: what a model file is, and files of networks that were trained elsewhere."""

import math
import re
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.console import out, print_json, say
from passerby.cli.extras import require

if TYPE_CHECKING:
    from passerby.inference.model_info import Preprocessing

app = typer.Typer(
    no_args_is_help=True, help="What a model file is; files of networks trained elsewhere."
)

_KEYS = ("size", "mean", "std", "channels", "output", "name")


@app.callback()
def model() -> None:
    """Say what a model file is, or make one of a network that was trained elsewhere."""


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help="A run, a model file's folder, or a Hub id.")
    ] = "shipped",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a model answers, and what it learned from, under which terms of use."""
    from passerby.inference import find_model
    from passerby.inference.model_info import read_model_info
    from passerby.reporting.model_tables import model_summary, model_tables

    info = read_model_info(find_model(model))
    if json:
        print_json(model_summary(info))
        return
    for part in model_tables(info):
        out.print(part)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A re-identification network, ONNX.")],
    target: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of its input.")] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of pixels from 0 to 1, like 0.5,0.5,0.5; else ImageNet's."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Likewise, the standard deviation.")] = None,
    channels: Annotated[str | None, typer.Option(help="Of its input: rgb or bgr.")] = None,
    output: Annotated[
        str | None, typer.Option(help="That holds the vectors, if it has several.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the model; the file's if left out.")] = None,
) -> None:
    """Make a model file of any ONNX network that turns crops into vectors.

    What is not given is read from FILE.yaml beside the network, if there is one, with the keys
    size, mean, std, channels, output and name.
    """
    require("train")
    from passerby.models.onnx_import import import_onnx

    given = {
        "size": size,
        "mean": mean,
        "std": std,
        "channels": channels,
        "output": output,
        "name": name,
    }
    given = {key: value for key, value in given.items() if value is not None}
    told = {**_sidecar(file), **given}
    info = import_onnx(
        file,
        target,
        _preprocessing(told, given, file),
        channels=str(told.get("channels", "rgb")),
        output=told.get("output"),
        name=told.get("name"),
    )
    say(f"{info.name}: vectors of {info.embedding_size} numbers, written to {target}.")
    say(f"Next: passerby calibrate {target} --data DATA (persons it was not trained on)")


def _sidecar(file: Path) -> dict[str, Any]:
    from passerby.errors import InputError
    from passerby.yaml_text import YAML_ERRORS, load_yaml

    beside = file.with_suffix(".yaml")
    if not beside.is_file():
        return {}
    try:
        content = load_yaml(beside.read_bytes())
    except YAML_ERRORS as error:
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"{beside} is not valid YAML ({problem}): fix or remove it.") from None
    if not isinstance(content, dict) or (strange := sorted(set(map(str, content)) - set(_KEYS))):
        what = "no keys" if not isinstance(content, dict) else f"the key {strange[0]!r}"
        raise InputError(f"{beside} has {what}: known are {', '.join(_KEYS)}.")
    for key in ("name", "output", "channels"):
        if not isinstance(content.get(key, ""), str):
            raise InputError(f"{beside}: {key} is {content[key]!r}: write it as text, in quotes.")
    return content


def _preprocessing(told: dict[str, Any], given: Container[str], file: Path) -> "Preprocessing":
    """Return how crops are prepared, of what was told: on the command line if `given` has it."""
    from pydantic import ValidationError

    from passerby.errors import InputError
    from passerby.inference.model_info import Preprocessing

    def called(key: str) -> str:
        return f"`{key}`" if key in given else f"{file.with_suffix('.yaml')}: {key}"

    if "size" not in told:
        raise InputError(f"Which size {file} takes is not known: give `size`, like 256x128.")
    text = str(told["size"])
    if (match := re.fullmatch(r"(\d+)\s*[x×]\s*(\d+)", text)) is None:
        raise InputError(
            f"{called('size')} is {text!r}: write height and width that {file} takes, like 256x128."
        )
    mean = _three(told.get("mean", "0.485,0.456,0.406"), called("mean"))
    std = _three(told.get("std", "0.229,0.224,0.225"), called("std"))
    if max(*mean, *std) > 3:
        raise InputError(
            f"{called('mean')} {mean} and {called('std')} {std} are of pixels up to 255: divide "
            "them by 255."
        )
    try:
        return Preprocessing(height=int(match[1]), width=int(match[2]), mean=mean, std=std)
    except ValidationError as error:
        first = error.errors()[0]
        key = "size" if first["loc"][0] in ("height", "width") else str(first["loc"][0])
        message = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(f"{called(key)} is {told.get(key)!r}: {message}.") from None


def _three(value: Any, name: str) -> tuple[float, float, float]:
    from passerby.errors import InputError

    parts = value if isinstance(value, list) else str(value).split(",")
    try:
        first, second, third = (float("" if isinstance(part, bool) else part) for part in parts)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} is {value!r}: write three numbers, like 0.485,0.456,0.406."
        ) from None
    if not all(map(math.isfinite, (first, second, third))):
        raise InputError(f"{name} is {value!r}: write three finite numbers.")
    return first, second, third

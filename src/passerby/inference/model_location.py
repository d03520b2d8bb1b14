"""Finding a model file: a folder, a training run, or a Hugging Face Hub id."""

import re
from pathlib import Path

from passerby.errors import InputError
from passerby.inference.model_info import INFO_NAME, ONNX_NAME, SEEN_NAME, WEIGHTS_NAME

MODEL_FOLDER = "model"
"""Name of the model file inside a training run."""

DEFAULT_MODEL = Path(__file__).parent.parent / "default_model"
"""The model file that ships with the package; docs/model-card.md says what it is."""

SHIPPED = {
    "shipped": DEFAULT_MODEL,
    "shipped-int8": DEFAULT_MODEL.with_name("default_model_int8"),
}
"""What ships, by name: the same network in half precision, and computing in 8 bits."""

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")
_PICKLES = ("*.pt", "*.pth", "*.bin", "*.pkl", "*.ckpt", "*.tar")


def find_model(source: Path | str | None = None) -> Path:
    """Return the folder of a model file.

    Args:
        source: the folder itself, a run that has finished, or a Hub id (`owner/name`, optionally
            `owner/name@revision`), which is downloaded into the Hub's cache; "shipped" or, if left
            out, the model that ships with the package, "shipped-int8" the same in 8 bits.

    Raises:
        InputError: there is no model file, or it would have to be unpickled.
    """
    if source is None:
        return DEFAULT_MODEL
    folder = Path(source)
    if folder.is_dir():
        for candidate in (folder, folder / MODEL_FOLDER):
            if (candidate / INFO_NAME).is_file():
                return candidate
        raise InputError(_why_no_model(folder))
    if folder.exists():
        raise InputError(f"{folder} is a file: give the folder of a model file, with {INFO_NAME}.")
    if str(source) in SHIPPED:
        return SHIPPED[str(source)]
    if _HUB_ID.match(str(source)) and not str(source).startswith("."):
        return _download(str(source))
    raise InputError(f"{folder} does not exist: give a model file's folder, a run or a Hub id.")


def _why_no_model(folder: Path) -> str:
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        return (
            f"{folder} holds pickled weights, which can run any code when opened: Passerby reads "
            "model.json with model.safetensors or model.onnx only; convert them first."
        )
    if (folder / "checkpoint.safetensors").is_file():
        return f"{folder} is a run that has not finished: resume it."
    return f"{folder} is not a model file: it has no {INFO_NAME}."


def _download(source: str) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = source.partition("@")
    try:
        folder = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=[INFO_NAME, ONNX_NAME, WEIGHTS_NAME, SEEN_NAME],
        )
    except Exception as error:
        # The Hub's client raises its own, httpx's and the operating system's errors.
        raise InputError(
            f"{source!r} is not a folder here, and the Hub does not give a model of that name "
            f"({type(error).__name__}): check the name and the network."
        ) from error
    if not (Path(folder) / INFO_NAME).is_file():
        raise InputError(f"{source!r} on the Hub is no Passerby model: it has no {INFO_NAME}.")
    return Path(folder)

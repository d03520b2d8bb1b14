"""The folder of a training run."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from passerby.errors import InputError
from passerby.files import exclusive_lock, explain_errors
from passerby.inference.model_info import INFO_NAME, ONNX_NAME, WEIGHTS_NAME, read_model_info
from passerby.inference.model_location import MODEL_FOLDER
from passerby.training import checkpoint, log
from passerby.training.checkpoint import Progress
from passerby.training.recipe import Recipe

RECIPE_NAME = "recipe.yaml"
TRACKER = "tensorboard"
"""Name of the tracker and of its folder, which exists before the first epoch has ended."""

_LOCK = ".lock"
_WRITTEN = (checkpoint.NAME, log.NAME, RECIPE_NAME, MODEL_FOLDER)


def check_run(run: Path, recipe: Recipe, resume: bool) -> None:
    """Check that a recipe may be trained in a folder; nothing is written.

    A run that has not finished an epoch has nothing to lose and does not stand in the way.

    Args:
        run: the folder, which need not exist.
        recipe: to be trained.
        resume: continue the run that is there.

    Raises:
        InputError: something is there and is not to be, or cannot be, continued.
    """
    if is_begun(run):
        if not resume:
            raise InputError(f"{run} holds a run already: resume it, or choose another folder.")
        _check_same(run, recipe)
    elif run.exists() and (not run.is_dir() or any(not _is_leftover(p) for p in run.iterdir())):
        raise InputError(f"{run} exists and is not a training run: choose another folder.")


def is_begun(run: Path) -> bool:
    """Tell whether the run has finished an epoch."""
    return (run / checkpoint.NAME).exists() or is_finished(run)


def is_finished(run: Path) -> bool:
    """Tell whether the run has written its model file."""
    model = run / MODEL_FOLDER
    return all((model / name).is_file() for name in (INFO_NAME, WEIGHTS_NAME, ONNX_NAME))


def is_first_process() -> bool:
    """Tell whether this process writes and speaks, of several that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def open_run(run: Path) -> Iterator[None]:
    """Make a run's folder and keep other trainings out of it; drafts of a killed one go.

    Raises:
        InputError: another one is there, or the folder cannot be written to.
    """
    if not is_first_process():
        yield
        return
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    with explain_errors(run):
        run.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive_lock(run / _LOCK, f"Another process is training into {run}"):
            for draft in run.iterdir():
                if any(draft.name.startswith(f".{name}.") for name in _WRITTEN):
                    shutil.rmtree(draft, ignore_errors=True)
            yield
    finally:
        if run in made and not is_begun(run):
            shutil.rmtree(run / TRACKER, ignore_errors=True)
        with suppress(OSError):
            for folder in made:
                folder.rmdir()  # they are empty if the recipe was refused


def _is_leftover(path: Path) -> bool:
    """Tell whether a run that was killed in its first epoch leaves such a thing."""
    return path.name in (TRACKER, _LOCK) or path.name.startswith(f".{checkpoint.NAME}.")


def _check_same(run: Path, recipe: Recipe) -> None:
    different = _first_difference(_with_defaults(_recipe_of(run)), recipe.model_dump(mode="json"))
    if different:
        raise InputError(
            f"{run} differs from the given recipe in {different}: resume with the same recipe "
            "and values, or choose another folder."
        )


def _recipe_of(run: Path) -> Mapping[str, Any]:
    if is_finished(run):
        return read_model_info(run / MODEL_FOLDER).training.recipe
    progress = Progress.load(run)
    assert progress is not None
    return progress.recipe


def _with_defaults(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the keys that an older Passerby did not know to a recipe that it wrote."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe


def _first_difference(before: object, now: object, where: str = "") -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(k, before.get(k), now.get(k)) for k in {**before, **now}]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(str(i), b, n) for i, (b, n) in enumerate(zip(before, now, strict=True))]
    else:
        return None if before == now else where or "everything"
    for key, b, n in pairs:
        found = _first_difference(b, n, f"{where}.{key}" if where else str(key))
        if found:
            return found
    return None

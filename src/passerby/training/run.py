"""The folder of a training run."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from passerby.embedding.model_info import INFO_NAME
from passerby.embedding.model_location import MODEL_FOLDER
from passerby.errors import InputError
from passerby.training import checkpoint
from passerby.training.recipe import Recipe

RECIPE_NAME = "recipe.yaml"
TRACKER = "tensorboard"
"""Name of the tracker and of its folder, which exists before the first epoch has ended."""


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
    previous = run / RECIPE_NAME
    # a run may have been killed between its first checkpoint and its recipe
    if is_begun(run) and (previous.is_file() or not is_finished(run)):
        if not resume:
            raise InputError(
                f"{run} holds a run already: continue it with --resume, or choose another folder."
            )
        if previous.is_file():
            _check_same(previous, recipe)
    elif run.exists() and (not run.is_dir() or any(not _is_leftover(p) for p in run.iterdir())):
        raise InputError(f"{run} exists and is no training run: choose another folder.")


def is_begun(run: Path) -> bool:
    """Tell whether the run has finished an epoch."""
    return (run / checkpoint.NAME).exists() or is_finished(run)


def is_finished(run: Path) -> bool:
    """Tell whether the run has written its model file."""
    return (run / MODEL_FOLDER / INFO_NAME).is_file()


def _is_leftover(path: Path) -> bool:
    """Tell whether a run that was killed in its first epoch leaves such a thing."""
    return path.name == TRACKER or path.name.startswith(f".{checkpoint.NAME}.")


def _check_same(path: Path, recipe: Recipe) -> None:
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"{path} is damaged: choose another folder and train again.") from None
    now = recipe.model_dump(mode="json")
    different = _first_difference(_with_defaults(before), now)
    if different:
        raise InputError(
            f"{path} differs from the given recipe in {different}: resume with the same recipe "
            "and --set, or choose another folder."
        )


def _with_defaults(recipe: object) -> object:
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

"""The folder of a training run."""

from pathlib import Path

import yaml

from passerby.embedding.model_location import MODEL_FOLDER
from passerby.errors import InputError
from passerby.files import write_text
from passerby.training.recipe import Recipe

RECIPE_NAME = "recipe.yaml"


def open_run(run: Path, recipe: Recipe, resume: bool) -> None:
    """Prepare a run's folder for a recipe.

    Args:
        run: made if missing.
        recipe: written into the folder.
        resume: continue the run that is there; start one if there is none.

    Raises:
        InputError: something is there and is not to be, or cannot be, continued.
    """
    previous = run / RECIPE_NAME
    if previous.is_file():
        if not resume:
            raise InputError(
                f"{run} holds a run already: continue it with --resume, or choose another folder."
            )
        _check_same(previous, recipe)
        return
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(f"{run} exists and is no training run: choose another folder.")
    write_text(previous, recipe.to_yaml())


def is_finished(run: Path) -> bool:
    """Tell whether the run has written its model file."""
    return (run / MODEL_FOLDER).is_dir()


def _check_same(path: Path, recipe: Recipe) -> None:
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise InputError(f"{path} is damaged: choose another folder and train again.") from None
    now = yaml.safe_load(recipe.to_yaml())
    different = _first_difference(before, now)
    if different:
        raise InputError(
            f"{path} differs from the given recipe in {different}: resume with the same recipe "
            "and --set, or choose another folder."
        )


def _first_difference(before: object, now: object, where: str = "") -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(k, before.get(k), now.get(k)) for k in {**before, **now}]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(str(i), b, n) for i, (b, n) in enumerate(zip(before, now, strict=True))]
    else:
        return None if before == now else where
    for key, b, n in pairs:
        found = _first_difference(b, n, f"{where}.{key}" if where else str(key))
        if found:
            return found
    return None

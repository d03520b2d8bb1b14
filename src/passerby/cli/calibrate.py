"""`passerby calibrate`."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from passerby.cli.console import out, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.reading import choose_split, read_data

if TYPE_CHECKING:
    from passerby.calibration.fitting import Counted
    from passerby.data.crops import Crops
    from passerby.inference import Embeddings, RuntimeModel


def calibrate(
    model: Annotated[Path, typer.Argument(help="A run, or a model file's folder.")],
    data: Annotated[Path, typer.Option(help="Crops of persons the model was not trained on.")],
    across_cameras: Annotated[
        bool,
        typer.Option(
            "--across-cameras",
            help="Only pairs of crops by two cameras of one dataset say what a distance means.",
        ),
    ] = False,
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    folds: Annotated[
        list[Path] | None,
        typer.Option(
            "--fold",
            help="A run of the same recipe that held persons out, to calibrate a model that was "
            "trained on everybody; several times.",
        ),
    ] = None,
) -> None:
    """Measure how far apart crops of one and of two persons are; write it into the model file.

    Of the model's training data only the persons kept for it (data.calibration_persons) are used;
    with --fold those whom each fold held out.
    """
    from passerby.calibration import ENOUGH_PERSONS, read_matchers
    from passerby.errors import InputError
    from passerby.files import replacing
    from passerby.inference import RuntimeModel, find_model, write_model_info
    from passerby.inference.leakage import SeenFiles
    from passerby.inference.model_info import describe_files, read_model_info
    from passerby.reporting.retrieval_tables import calibration_table

    if not model.is_dir():
        raise InputError(f"{model} is not a folder: give a run or a model file on this machine.")
    runtime = RuntimeModel.load(model)
    part = choose_split(data, split, "train", pattern=pattern)
    crops = read_data(data, part, root, pattern, accept_missing)
    people = _folds(runtime, crops, folds) if folds else [_kept_back(runtime, crops)]
    counted: Literal["across", "all"] = "across" if across_cameras else "all"
    found = _measured(people, runtime, counted, by_folds=bool(folds))
    folder = find_model(model)
    if read_model_info(folder) != runtime.info:
        raise InputError(f"{folder} was changed meanwhile: calibrate the new model.")
    info = runtime.info.model_copy(update=found)
    # which files they are: of whom it is evaluated on these, the figures would look too good
    calibrated_on = SeenFiles.of(calibration=None if folds else people[0].crops)
    seen = replace(runtime.seen, calibration=calibrated_on.calibration)
    # all at once: model.json vouches for the other files
    with replacing(folder) as draft:
        shutil.copytree(folder, draft)
        seen.write(draft)
        info = info.model_copy(update=describe_files(draft, info.preprocessing))
        write_model_info(draft, info)
    out.print(calibration_table(read_matchers(info)))
    persons = len(
        {
            (dataset, name)
            for fold in people
            for dataset, names in fold.crops.persons.items()
            for name in names
        }
    )
    if "attributes" in info.tasks and any(fold.crops.labels is None for fold in people):
        say("Without attribute annotations no distance between attributes is weighted.")
    if persons < ENOUGH_PERSONS:
        say(f"{persons} persons are few: rely on thresholds of {ENOUGH_PERSONS} or more.")
    say(f"Distances calibrated on {persons} persons and written to {folder}.")


def _kept_back(runtime: "RuntimeModel", crops: "Crops") -> "Embeddings":
    from passerby.calibration.fitting import check_enough
    from passerby.inference.leakage import select_for_calibration

    crops = select_for_calibration(crops, runtime.info, runtime.seen)
    check_enough(crops)
    return _embedded(runtime, crops)


def _folds(runtime: "RuntimeModel", crops: "Crops", folds: list[Path]) -> "list[Embeddings]":
    from passerby.calibration.cross_validation import check_fold
    from passerby.inference import RuntimeModel

    models = [RuntimeModel.load(fold) for fold in folds]
    for model, fold in zip(models, folds, strict=True):
        check_fold(model, runtime.info, crops, str(fold))
    return [
        _embedded(model, crops.of_persons(model.info.training.held_out_persons)) for model in models
    ]


def _embedded(runtime: "RuntimeModel", crops: "Crops") -> "Embeddings":
    with progress_bar("Embedding") as progress:
        return runtime.embed(crops, progress=progress)


def _measured(
    people: "list[Embeddings]", runtime: "RuntimeModel", counted: "Counted", *, by_folds: bool
) -> dict[str, object]:
    """Return what changes in `model.json`."""
    from passerby.calibration import calibrate_distances
    from passerby.calibration.cross_validation import calibrate_by_folds
    from passerby.evaluation.thresholds import choose_decision_by_folds

    tasks = runtime.info.tasks
    found: dict[str, object] = {}
    if by_folds:
        distances = calibrate_by_folds(people, tasks, counted)
        if "attributes" in tasks and len(people) > 1:
            found["decision"] = choose_decision_by_folds(people)
    else:
        distances = calibrate_distances(people[0], tasks, counted)
    found["distances"] = tuple(distance.model_dump(mode="json") for distance in distances)
    return found

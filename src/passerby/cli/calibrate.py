"""`passerby calibrate`."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from passerby.cli.console import out, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.reading import choose_split, naming, read_data

if TYPE_CHECKING:
    from passerby.calibration.fitting import Counted
    from passerby.data.crops import Crops
    from passerby.datasets.joining import Source
    from passerby.inference import Embeddings, RuntimeModel


def calibrate(
    model: Annotated[Path, typer.Argument(help="A run, or a model file's folder.")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Crops of persons the model was not trained on; may be given again: several "
            "datasets count as much as each other, at most 200 persons of each."
        ),
    ],
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
            help="A run of the same recipe that held persons or a dataset out, to calibrate a "
            "model that was trained on everybody; several times.",
        ),
    ] = None,
) -> None:
    """Measure how far apart crops of one and of two persons are; write it into the model file.

    Of the model's training data only the persons kept for it (data.calibration_persons) are used;
    with --fold those whom each fold has never seen.
    """
    from passerby.calibration import ENOUGH_PERSONS, read_matchers
    from passerby.datasets.joining import Source, join
    from passerby.errors import InputError
    from passerby.files import replacing
    from passerby.inference import RuntimeModel, find_model, write_model_info
    from passerby.inference.leakage import SeenFiles, check_copies
    from passerby.inference.model_info import describe_files, read_model_info
    from passerby.reporting.retrieval_tables import calibration_table

    if not model.is_dir():
        raise InputError(f"{model} is not a folder: give a run or a model file on this machine.")
    runtime = RuntimeModel.load(model)
    if len(data) > 1 and (root is not None or pattern is not None):
        raise InputError(
            "`root` and `pattern` are for a single dataset: convert that dataset to a manifest "
            "first."
        )
    sources = []
    for one in data:
        with naming(str(one) if len(data) > 1 else None):
            part = choose_split(one, split, "train", pattern=pattern)
            crops = read_data(one, part, root, pattern, accept_missing)
            sources.append(Source(str(one), _mapped(runtime, crops)))
    if len(data) > 1:
        sources = join(sources)
        check_copies(sources)
    if across_cameras:
        unknown = [s.title for s in sources if s.crops.camera is None or not any(s.crops.camera)]
        if len(unknown) == len(sources):
            raise InputError("No camera of these crops is known: calibrate on all pairs.")
        if unknown:
            say(f"Of {', '.join(unknown)} no cameras are known: all pairs there count.")
    counted: Literal["across", "all"] = "across" if across_cameras else "all"
    if folds:
        people = _folds(runtime, sources, folds, counted)
    else:
        people = [_kept_back(runtime, sources, counted)]
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


def _mapped(runtime: "RuntimeModel", crops: "Crops") -> "Crops":
    """Bring labels into the model's schema; leave out what no mapping is known for."""
    from passerby.datasets.schema_mapping import find_mapping

    if crops.schema is None or crops.schema == runtime.schema:
        return crops
    mapping = runtime.schema and find_mapping(crops.schema, runtime.schema)
    return mapping.apply(crops) if mapping else crops.without_labels()


def _check_pairs(crops: "Crops", title: str, counted: "Counted") -> None:
    """Check that somebody was seen by two cameras, or by some that are not known, if that counts.

    Raises:
        InputError: nobody was, so that the dataset would say nothing of distances.
    """
    from passerby.errors import InputError

    if counted == "all" or crops.camera is None:
        return
    cameras: dict[int, list[str]] = {}
    for person, camera in zip(crops.person_codes.tolist(), crops.camera.tolist(), strict=True):
        if person > 0:
            cameras.setdefault(person, []).append(camera)
    if not any(len(seen) > 1 and len(set(seen)) + seen.count("") > 1 for seen in cameras.values()):
        raise InputError(
            f"{title}: nobody of those to calibrate on was seen by two cameras: leave these data "
            "out, or calibrate on all pairs."
        )


def _kept_back(
    runtime: "RuntimeModel", sources: "list[Source]", counted: "Counted"
) -> "Embeddings":
    from passerby.calibration.fitting import check_enough
    from passerby.calibration.strangers import draw_persons
    from passerby.data.crops import concatenate
    from passerby.inference.leakage import find_known_crops, select_for_calibration

    parts = []
    for source in sources:
        with naming(source.title if len(sources) > 1 else None):
            crops = select_for_calibration(source.crops, runtime.info, runtime.seen)
        if find_known_crops(crops, runtime.seen.unlabelled).any():
            say(
                f"The model learned from crops of {source.title}, though not from their "
                "annotation: thresholds measured on them promise too much."
            )
        parts.append(draw_persons(crops.of_known_persons()) if len(sources) > 1 else crops)
        check_enough(parts[-1], source.title if len(sources) > 1 else "")
        _check_pairs(parts[-1], source.title, counted)
    return _embedded(runtime, concatenate(parts))


def _folds(
    runtime: "RuntimeModel", sources: "list[Source]", folds: list[Path], counted: "Counted"
) -> "list[Embeddings]":
    from passerby.calibration.cross_validation import check_fold
    from passerby.calibration.fitting import too_few
    from passerby.calibration.strangers import draw_persons, strangers
    from passerby.errors import InputError
    from passerby.inference import RuntimeModel

    models = [RuntimeModel.load(fold) for fold in folds]
    for model, fold in zip(models, folds, strict=True):
        if model.info == runtime.info:
            raise InputError(f"{fold} is the model itself: give runs that held somebody out.")
    if len({model.info.fingerprint for model in models}) < len(models):
        raise InputError("Two of the folds are the same model: give each once.")
    for model, fold in zip(models, folds, strict=True):
        check_fold(model, runtime.info, [source.crops for source in sources], str(fold))
    people = []
    for source in sources:
        crops = _trained_on(runtime, source.crops)
        found = 0
        for model, fold in zip(models, folds, strict=True):
            if (theirs := strangers(crops, model.seen)) is None:
                continue
            if len(sources) > 1:
                theirs = draw_persons(theirs)
                if too_few(theirs):
                    say(f"{source.title}: {fold} has too few strangers there, who are left out.")
                    continue
            _check_pairs(theirs, source.title, counted)
            found += 1
            people.append(_embedded(model, theirs))
        if not found:
            raise InputError(
                f"No fold has strangers enough in {source.title}, several crops of each: leave "
                "these data out."
            )
    return people


def _trained_on(runtime: "RuntimeModel", crops: "Crops") -> "Crops":
    """Leave out persons whom the model itself held out, to be evaluated on."""
    from passerby.inference.leakage import find_known_crops

    known = find_known_crops(crops, runtime.seen.training)
    held_out = runtime.info.training.held_out_persons
    return crops[known] if held_out and known.any() else crops


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
        labelled = [fold for fold in people if fold.crops.labels is not None]
        if "attributes" in tasks and len(labelled) > 1:
            found["decision"] = choose_decision_by_folds(labelled)
    else:
        distances = calibrate_distances(people[0], tasks, counted)
    found["distances"] = tuple(distance.model_dump(mode="json") for distance in distances)
    return found

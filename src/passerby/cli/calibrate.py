"""`passerby calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import out, progress_bar, say


def calibrate(
    model: Annotated[Path, typer.Argument(help="A run, or a model file's folder.")],
    data: Annotated[Path, typer.Option(help="Crops of persons the model was not trained on.")],
    part: Annotated[str, typer.Option(help="Of a dataset: train, gallery or query.")] = "train",
) -> None:
    """Measure how far apart crops of one and of two persons are; write it into the model file.

    Of the model's training data only the persons kept for it (data.calibration_persons) are used.
    """
    from passerby.data.readers import read_crops
    from passerby.embedding import RuntimeModel, find_model, write_model_info
    from passerby.embedding.model_info import read_model_info
    from passerby.errors import InputError
    from passerby.evaluation import ENOUGH_PERSONS, calibrated, for_calibration
    from passerby.evaluation.calibrate import check_enough
    from passerby.reporting.retrieval_tables import calibration_table

    if not model.is_dir():
        raise InputError(f"{model} is no folder: give a run or a model file on this machine.")
    runtime = RuntimeModel.load(model)
    crops = for_calibration(read_crops(data, part), runtime.info)
    check_enough(crops)
    with progress_bar("Embedding") as progress:
        people = runtime.embed(crops, progress=progress)
    distances = calibrated(people, runtime.info.tasks)
    plain = tuple(distance.model_dump(mode="json") for distance in distances)
    folder = find_model(model)
    if read_model_info(folder) != runtime.info:
        raise InputError(f"{folder} was changed meanwhile: calibrate the new model.")
    found = {"distances": plain, "calibration_data": people.crops.fingerprint}
    write_model_info(folder, runtime.info.model_copy(update=found))
    out.print(calibration_table(distances))
    persons = len(people.crops.person_ids)
    if "attributes" in runtime.info.tasks and people.crops.labels is None:
        say("Without attribute annotations there is no weighted distance.")
    if persons < ENOUGH_PERSONS:
        say(f"{persons} persons are few: rely on thresholds of {ENOUGH_PERSONS} or more.")
    say(f"Distances calibrated on {persons} persons and written to {folder}.")

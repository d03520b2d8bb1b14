"""Which crops a model may be scored and calibrated on: of nobody whom it was trained on."""

from dataclasses import replace

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.inference.model_info import ModelInfo


def is_training_data(crops: Crops, info: ModelInfo) -> bool:
    """Tell whether these are the data that the model was trained on a part of."""
    return info.training.data == crops.fingerprint


def is_unlabelled_data(crops: Crops, info: ModelInfo) -> bool:
    """Tell whether the model learned from these crops without their annotation."""
    return Crops(crops.paths).fingerprint in info.training.unlabelled


def leave_out_seen(crops: Crops, info: ModelInfo) -> Crops:
    """Return the crops that a model may be scored on.

    Args:
        crops: crops with person ids: of the model's training data, or any others.
        info: of the model.

    Returns:
        The crops of the held-out persons if the model was trained on these data, else all.
        Without their labels if the model was not trained on attributes.

    Raises:
        InputError: the crops have no person ids, or labels of another schema, or the model was
            trained on all of their persons.
    """
    _ = crops.known_persons
    if "attributes" not in info.tasks:
        crops = replace(crops, labels=None, schema=None)
    if crops.schema is not None and crops.schema.name != info.schema_name:
        raise InputError(
            f"The model answers the schema {info.schema_name}, but the crops are annotated with "
            f"{crops.schema.name}: choose a model of the same schema."
        )
    if not is_training_data(crops, info):
        return crops
    held_out = info.training.held_out_persons
    if not held_out:
        raise InputError(
            "The model was trained on every person of these data: evaluate it on other data, or "
            "train with data.held_out_persons."
        )
    return crops.of_persons(held_out)


def select_for_calibration(crops: Crops, info: ModelInfo) -> Crops:
    """Return the crops that a model's distances may be calibrated on.

    Args:
        crops: crops with person ids: of the model's training data, or any others.
        info: of the model.

    Returns:
        Of the model's training data the crops of the persons kept for calibration, never the
        held-out ones, which it is evaluated on; of other data all.

    Raises:
        InputError: the crops have no person ids, or nobody was kept for calibration.
    """
    _ = crops.known_persons
    if not is_training_data(crops, info):
        return crops
    kept = info.training.calibration_persons
    if not kept:
        raise InputError(
            "The model kept no training persons to calibrate on: train it with "
            "data.calibration_persons, or give other data."
        )
    return crops.of_persons(kept)

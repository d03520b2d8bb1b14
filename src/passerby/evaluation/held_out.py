"""Which crops a model may be scored on: none of a person whom it was trained or calibrated on."""

from passerby.data.crops import Crops
from passerby.embedding.model_info import ModelInfo
from passerby.errors import InputError


def is_training_data(crops: Crops, info: ModelInfo) -> bool:
    """Tell whether these are the data that the model was trained on a part of."""
    return bool(info.training) and info.training.get("data") == crops.fingerprint


def unseen(crops: Crops, info: ModelInfo) -> Crops:
    """Return the annotated crops that a model may be scored on.

    Args:
        crops: annotated crops: of the model's training data, or any others.
        info: of the model.

    Returns:
        The crops of the held-out persons if the model was trained on these data, else all.

    Raises:
        InputError: the crops have no labels or those of another schema, or the model was trained
            on all of their persons.
    """
    if crops.labels is None or crops.persons is None or crops.schema is None:
        raise InputError("These crops have no attribute annotations to score against: add them.")
    if crops.schema.name != info.schema_name:
        raise InputError(
            f"The model answers the schema {info.schema_name}, but the crops are annotated with "
            f"{crops.schema.name}: choose a model of the same schema."
        )
    if not is_training_data(crops, info):
        return crops
    held_out = info.training.get("held_out_persons")
    if not held_out:
        raise InputError(
            "The model was trained on every person of these data: evaluate it on other data, or "
            "train with data.held_out_persons."
        )
    return crops.of_persons(held_out)

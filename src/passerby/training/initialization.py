"""The network that a run begins with: a pretrained backbone, or the model of an earlier run."""

import numpy as np

from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.model_info import ModelInfo, read_model_info
from passerby.inference.model_location import find_model
from passerby.models.model_file import load_person_model
from passerby.models.person_model import PersonModel
from passerby.training.recipe import ModelSection
from passerby.training.split import Split


def initial_model(section: ModelSection, schema: Schema, split: Split) -> PersonModel:
    """Build the network of a recipe and load the weights that it names.

    A pool or neck that an earlier model lacks starts anew; one that only it has is left out.

    Args:
        section: `model` of the recipe.
        schema: of the attributes.
        split: of the persons; the weights may not have been trained on those held out.

    Raises:
        InputError: the weights cannot be had, do not fit, or were trained on held-out persons.
    """
    source = section.weights
    if not section.goes_on:
        return PersonModel(section.architecture, schema, source)
    info = read_model_info(find_model(source))
    _check_held_out(info, split, source)
    if info.schema_name != schema.name:
        raise InputError(
            f"model.weights: {source} answers the schema {info.schema_name}, but the data are "
            f"annotated with {schema.name}: choose a model of the same schema."
        )
    model = PersonModel(section.architecture, schema)
    try:
        result = model.load_state_dict(load_person_model(source).state_dict(), strict=False)
    except RuntimeError as error:
        raise _other_network(source) from error
    others = [*result.missing_keys, *result.unexpected_keys]
    if any(not name.startswith(("pool.", "neck.")) for name in others):
        raise _other_network(source)
    return model


def _other_network(source: str) -> InputError:
    return InputError(
        f"model.weights: {source} is another network than the recipe's: give the recipe the same "
        "model.backbone and attention."
    )


def _check_held_out(info: ModelInfo, split: Split, source: str) -> None:
    """Check that weights of the same data have seen nobody who is held out now."""
    if info.training.data != split.fingerprint:
        return
    seen = info.training.persons
    for crops, key in ((split.held_out, "held_out"), (split.calibration, "calibration")):
        if crops is not None and np.isin(crops.person_ids, seen).any():
            raise InputError(
                f"model.weights: {source} was trained on persons that this recipe holds out: give "
                f"both the same data.seed and data.{key}_persons."
            )

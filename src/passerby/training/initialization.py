"""The network that a run begins with: a pretrained backbone, or the model of an earlier run."""

from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.leakage import SeenFiles, find_known_crops, read_seen_files
from passerby.inference.model_info import read_model_info
from passerby.inference.model_location import find_model
from passerby.models.model_file import load_person_model
from passerby.models.person_model import PersonModel
from passerby.training.recipe import ModelSection
from passerby.training.split import Split


def initial_model(section: ModelSection, schema: Schema | None, split: Split) -> PersonModel:
    """Build the network of a recipe and load the weights that it names.

    A pool, projection, neck or attribute head that an earlier model lacks starts anew; one that
    only it has is left out.

    Args:
        section: `model` of the recipe.
        schema: of the attributes; None for a network without.
        split: of the persons; the weights may not have been trained on those held out.

    Raises:
        InputError: the weights cannot be had, do not fit, or were trained on held-out persons.
    """
    source = section.weights
    if not section.goes_on:
        return PersonModel(section.architecture, schema, source)
    folder = find_model(source)
    info = read_model_info(folder)
    _check_held_out(read_seen_files(folder, info), split, source)
    if schema is not None and info.schema_ is not None and info.schema_ != schema:
        raise InputError(
            f"model.weights: {source} answers other attributes ({_named(info.schema_)}) than the "
            f"data are annotated with ({_named(schema)}): choose a model of the same schema."
        )
    model = PersonModel(section.architecture, schema)
    try:
        result = model.load_state_dict(load_person_model(source).state_dict(), strict=False)
    except RuntimeError as error:
        raise _other_network(source) from error
    others = [*result.missing_keys, *result.unexpected_keys]
    if any(
        not name.startswith(("pool.", "projection.", "neck.", "attribute_head.")) for name in others
    ):
        raise _other_network(source)
    return model


def _other_network(source: str) -> InputError:
    return InputError(
        f"model.weights: {source} is another network than the recipe's: give the recipe the same "
        "model.backbone and attention."
    )


def _named(schema: Schema) -> str:
    more = ", …" if len(schema) > 3 else ""
    return schema.name or ", ".join(schema.names[:3]) + more


def _check_held_out(seen: SeenFiles, split: Split, source: str) -> None:
    """Check that the weights have seen nobody who is held out now."""
    for crops, key in ((split.held_out, "held_out"), (split.calibration, "calibration")):
        if crops is not None and find_known_crops(crops, seen.training).any():
            raise InputError(
                f"model.weights: {source} was trained on persons that this recipe holds out: give "
                f"both the same data.seed and data.{key}_persons."
            )

"""The network that a run begins with: a pretrained backbone, or the model of an earlier run."""

from dataclasses import dataclass
from pathlib import Path

from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.leakage import SeenFiles, find_known_crops, read_seen_files
from passerby.inference.model_info import ModelInfo, read_model_info
from passerby.inference.model_location import find_model
from passerby.models.architecture import Architecture
from passerby.models.model_file import load_person_model
from passerby.models.person_model import PersonModel
from passerby.training.recipe import ModelSection, Recipe
from passerby.training.split import Split


@dataclass(frozen=True)
class Earlier:
    """The model that a run goes on from.

    Attributes:
        source: as the recipe names it.
        folder: of the model file.
        info: what it is.
        seen: the files that it has seen.
    """

    source: str
    folder: Path
    info: ModelInfo
    seen: SeenFiles

    @classmethod
    def of(cls, section: ModelSection, schema: Schema | None, split: Split) -> "Earlier | None":
        """Find it; None if the recipe begins with a backbone alone.

        Args:
            section: `model` of the recipe.
            schema: of the annotated attributes, if they are learned.
            split: of the persons; the weights may not have been trained on those held out.

        Raises:
            InputError: there is no such model, it answers other attributes, or was trained on
                held-out persons; or the recipe adapts what is no earlier model.
        """
        source = section.earlier
        if source is None:
            _check_exists(section.weights)
            if section.adapt:
                raise InputError(
                    f"model.adapt: model.weights is {section.weights}, which is no earlier model: "
                    "give the folder of a run or of a model file, or 'shipped'."
                )
            return None
        folder = find_model(source)
        info = read_model_info(folder)
        earlier = cls(section.weights, folder, info, read_seen_files(folder, info))
        _check_held_out(earlier.seen, split, section.weights)
        if schema is not None and info.schema_ is not None and info.schema_ != schema:
            raise InputError(
                f"model.weights: {section.weights} answers other attributes "
                f"({_named(info.schema_)}) than the data are annotated with ({_named(schema)}): "
                "choose a model of the same schema."
            )
        return earlier


_MAY_DIFFER = {"size", "dropout"}
"""What an adapted network may have otherwise than the earlier one: no weights depend on it."""


def with_earlier_network(recipe: Recipe) -> Recipe:
    """Let a recipe that adapts a model have that model's network, of which it need say nothing.

    Raises:
        InputError: there is no such model, or the recipe describes another network.
    """
    section = recipe.model
    if not section.adapt or section.earlier is None:
        return recipe
    info = read_model_info(find_model(section.earlier))
    network = load_person_model(section.earlier).architecture
    said = section.model_fields_set & set(Architecture.model_fields) - _MAY_DIFFER
    for key in sorted(said):
        if getattr(section, key) != getattr(network, key):
            raise InputError(
                f"model.adapt takes the network of {section.weights} ({info.name}), whose {key} "
                f"is {getattr(network, key)}, not {getattr(section, key)}: leave out model.{key}."
            )
    kept = {key: getattr(section, key) for key in section.model_fields_set & _MAY_DIFFER}
    taken = {key: getattr(network, key) for key in Architecture.model_fields}
    return recipe.model_copy(update={"model": section.model_copy(update={**taken, **kept})})


def initial_model(
    section: ModelSection, schema: Schema | None, earlier: Earlier | None
) -> PersonModel:
    """Build the network of a recipe and load the weights that it names.

    A pool, projection, neck or attribute head that an earlier model lacks starts anew; one that
    only it has is left out.

    Args:
        section: `model` of the recipe.
        schema: of the attributes; None for a network without.
        earlier: the model that the recipe goes on from, if any.

    Raises:
        InputError: the weights cannot be had, or do not fit.
    """
    if earlier is None:
        return PersonModel(section.architecture, schema, section.weights)
    model = PersonModel(section.architecture, schema)
    try:
        result = model.load_state_dict(load_person_model(earlier.folder).state_dict(), strict=False)
    except RuntimeError as error:
        raise _other_network(earlier.source) from error
    others = [*result.missing_keys, *result.unexpected_keys]
    if any(
        not name.startswith(("pool.", "projection.", "neck.", "attribute_head.")) for name in others
    ):
        raise _other_network(earlier.source)
    return model


def _check_exists(weights: str) -> None:
    """Check, also when a run is resumed, that an earlier model has not gone."""
    path = Path(weights)
    if weights in ("pretrained", "none") or path.suffix == ".safetensors" or path.exists():
        return
    raise InputError(
        f"model.weights: {path} does not exist: give a safetensors file, a run, 'pretrained' "
        "or 'none'."
    )


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

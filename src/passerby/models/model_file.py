"""Model files: a folder with `model.json`, `model.safetensors` and `model.onnx`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError

from passerby.calibration.matcher import Matcher
from passerby.errors import InputError
from passerby.files import replacing
from passerby.inference.decision import Decision
from passerby.inference.model_info import (
    INFO_NAME,
    ONNX_NAME,
    WEIGHTS_NAME,
    ModelInfo,
    Provenance,
    Task,
    fingerprint_of,
    read_model_info,
    weights_fingerprint_of,
    write_model_info,
)
from passerby.inference.model_location import find_model
from passerby.models.architecture import Architecture
from passerby.models.export import export_onnx
from passerby.models.person_model import PersonModel
from passerby.models.tensor_file import read_weights, write_tensors


def save_model(
    model: PersonModel,
    folder: Path,
    *,
    name: str,
    tasks: tuple[Task, ...] = ("attributes",),
    decision: Decision | None = None,
    distances: Sequence[Matcher] = (),
    training: Provenance | None = None,
) -> ModelInfo:
    """Write a model file, whole or not at all.

    Args:
        model: moved to the CPU and set to evaluation.
        folder: replaced if it exists.
        name: of the recipe.
        tasks: what it was trained for.
        decision: from probabilities to labels; group argmax if left out.
        distances: calibrated ones, the best first.
        training: where the weights come from.

    Returns:
        What was written to `model.json`.

    Raises:
        ExportMismatchError: ONNX Runtime and torch disagree; nothing is written.
        InputError: the place cannot be written to.
    """
    with replacing(folder) as draft:
        draft.mkdir()
        export_onnx(model, draft / ONNX_NAME)
        write_tensors(draft / WEIGHTS_NAME, model.state_dict())
        info = ModelInfo(
            name=name,
            fingerprint=fingerprint_of(draft, "fp32"),
            weights=weights_fingerprint_of(draft),
            schema_name=model.schema.name,
            attributes=model.schema.attributes,
            tasks=tasks,
            embedding_size=model.embedding_size,
            preprocessing=model.preprocessing,
            decision=decision or Decision(),
            distances=tuple(distance.model_dump(mode="json") for distance in distances),
            architecture=model.architecture.model_dump(mode="json"),
            training=training or Provenance(),
        )
        write_model_info(draft, info)
    return info


def load_person_model(source: Path | str | None = None) -> PersonModel:
    """Load the torch form of a model file, e.g. to train it further.

    Args:
        source: a model file's folder, a finished run, or a Hub id; the model that ships with the
            package if left out.

    Raises:
        InputError: there is no model file, it is damaged, or it would have to be unpickled.
    """
    folder = find_model(source)
    info = read_model_info(folder)
    try:
        architecture = Architecture.model_validate(info.architecture)
    except ValidationError as error:
        raise InputError(
            f"{folder / INFO_NAME}: the architecture is not one that this version builds "
            f"({error.errors()[0]['msg']}): save the model again."
        ) from None
    model = PersonModel(architecture, info.schema_)
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise InputError(f"{folder} is not a whole model file: {WEIGHTS_NAME} is missing.")
    if info.weights not in ("", weights_fingerprint_of(folder)):
        raise InputError(
            f"{path} is damaged or not the one that {INFO_NAME} describes: save the model again."
        )
    try:
        model.load_state_dict(read_weights(path))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or does not fit {INFO_NAME} "
            f"({str(error).splitlines()[0]}): save the model again."
        ) from error
    return model.eval()

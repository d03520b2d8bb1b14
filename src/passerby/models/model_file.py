"""Model files: a folder with `model.json`, its weights, network and the files that it has seen."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError

from passerby.calibration.matcher import Matcher
from passerby.errors import InputError
from passerby.files import replacing
from passerby.inference.decision import Decision
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import (
    INFO_NAME,
    ONNX_NAME,
    WEIGHTS_NAME,
    ModelInfo,
    Provenance,
    Task,
    check_file,
    describe_files,
    read_model_info,
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
    tasks: tuple[Task, ...] | None = None,
    decision: Decision | None = None,
    distances: Sequence[Matcher] = (),
    training: Provenance | None = None,
    seen: SeenFiles | None = None,
) -> ModelInfo:
    """Write a model file, whole or not at all.

    Args:
        model: moved to the CPU and set to evaluation.
        folder: replaced if it exists.
        name: of the recipe.
        tasks: what it was trained for; attributes if left out, identity if it answers none.
        decision: from probabilities to labels; group argmax if left out.
        distances: calibrated ones, the best first.
        training: where the weights come from.
        seen: the files that it learned from and was calibrated on; none if left out.

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
        (seen or SeenFiles.of()).write(draft)
        info = ModelInfo(
            name=name,
            **describe_files(draft, model.preprocessing),
            schema_=model.schema,
            tasks=tasks or (("identity",) if model.schema is None else ("attributes",)),
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
    if "onnx" in info.architecture:
        raise InputError(
            f"{folder} was imported as an ONNX network, which cannot be trained further or "
            "exported: use it as it is."
        )
    if info.precision == "int8":
        raise InputError(
            f"{folder} computes in 8 bits and has no torch form: use the model that it was made of."
        )
    try:
        architecture = Architecture.model_validate(info.architecture)
    except ValidationError as error:
        raise InputError(
            f"{folder / INFO_NAME}: the architecture is not one that this version builds "
            f"({error.errors()[0]['msg']}): save the model again."
        ) from None
    model = PersonModel(architecture, info.schema_)
    path = folder / WEIGHTS_NAME
    check_file(folder, WEIGHTS_NAME, info)
    try:
        model.load_state_dict(read_weights(path))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or does not fit {INFO_NAME} "
            f"({str(error).splitlines()[0]}): save the model again."
        ) from error
    return model.eval()

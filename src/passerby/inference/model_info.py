"""`model.json`: everything about a model but its weights."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from passerby.data.schema import SCHEMAS, Schema
from passerby.errors import InputError
from passerby.files import write_text
from passerby.inference.decision import BY_FREQUENCY, Decision

FORMAT = 1

INFO_NAME = "model.json"
WEIGHTS_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"


Side = Annotated[int, Field(ge=8, le=4096)]
Finite = Annotated[float, Field(ge=-10, le=10)]
Spread = Annotated[float, Field(ge=1e-3, le=10)]


Task = Literal["attributes", "identity"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Strict):
    """From decoded RGB pixels to the model's input.

    Pixels are resized with Pillow's bilinear filter, divided by 255, and normalised as
    (x − mean) / std per colour; the input is float32 of shape (N, 3, height, width).
    """

    height: Side
    width: Side
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Spread, Spread, Spread]
    resize: Literal["bilinear"] = "bilinear"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


class Provenance(_Strict):
    """Where a model comes from; a model that was not trained here says nothing.

    Attributes:
        recipe: the whole recipe.
        data: fingerprint of the data.
        persons, calibration_persons, held_out_persons: ids of those trained on, of those kept back
            for thresholds and weights, and of those left for evaluation.
        crops: trained on.
        unlabelled: fingerprints of the folders of unlabelled crops.
        pseudo_persons, pseudo_crops: found among them, and trained on in the last phase.
        frequencies: fraction of the persons trained on who have each attribute.
        epochs, seconds, peak_memory_mb, precision, processes, machine, finished: of the training.
        versions: of the libraries.
    """

    recipe: dict[str, Any] = {}
    data: str = ""
    persons: tuple[int, ...] = ()
    calibration_persons: tuple[int, ...] = ()
    held_out_persons: tuple[int, ...] = ()
    crops: int = 0
    unlabelled: tuple[str, ...] = ()
    pseudo_persons: int = 0
    pseudo_crops: int = 0
    frequencies: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    epochs: int = 0
    seconds: float = 0.0
    peak_memory_mb: int = 0
    precision: str = ""
    processes: int = 1
    machine: str = ""
    finished: str = ""
    versions: dict[str, str] = {}


class ModelInfo(_Strict):
    """The content of `model.json`.

    Attributes:
        format: version of this layout.
        name: of the recipe that made the model.
        fingerprint: SHA-256 of the network as it runs: of the ONNX file, followed, at half
            precision, by the weights.
        weights: SHA-256 of `model.safetensors`; empty if an older Passerby wrote it.
        precision: of the weights; "fp16" are stored once, in `model.safetensors`, which the ONNX
            file refers to. Both forms compute in float32.
        schema_name, attributes: what the attribute outputs mean, in order.
        tasks: what it was trained for; without "attributes" its attribute outputs mean nothing.
        embedding_size: length of the embedding.
        preprocessing: from pixels to input.
        decision: from probabilities to labels.
        distances: calibrated distances, the best first; read by `passerby.ranking`.
        calibration_data: fingerprint of the crops that these were measured on, if they were
            measured again after the training.
        architecture: what `PersonModel` is built from.
        training: where the weights come from.
    """

    format: Literal[1] = 1
    name: str
    fingerprint: str = ""
    weights: str = ""
    precision: Literal["fp32", "fp16"] = "fp32"
    schema_name: str
    attributes: tuple[str, ...]
    tasks: tuple[Task, ...] = ("attributes",)
    embedding_size: int = Field(ge=1, le=1_000_000)
    preprocessing: Preprocessing
    decision: Decision = Decision()
    distances: tuple[dict[str, Any], ...] = ()
    calibration_data: str = ""
    architecture: dict[str, Any]
    training: Provenance = Provenance()

    @property
    def schema_(self) -> Schema:
        """The schema itself."""
        return SCHEMAS[self.schema_name]

    def decision_by(self, rule: str | None) -> Decision:
        """Return the decision rule of a name; the model's own if left out.

        Raises:
            InputError: there is no such rule, or the model does not have what it needs.
        """
        if rule in (None, self.decision.rule):
            return self.decision
        if rule not in BY_FREQUENCY:
            return Decision(rule)  # type: ignore[arg-type]
        if len(self.training.frequencies) != len(self.attributes):
            raise InputError(
                f"The model {self.name} does not say how frequent the attributes were in its "
                "training: train it again, or choose another decision rule."
            )
        frequencies = self.training.frequencies
        if rule == "prevalence":
            return Decision.at_prevalence(frequencies)
        return Decision.at_deepmar(frequencies)


def read_model_info(folder: Path) -> ModelInfo:
    """Read and check a model file's `model.json`.

    Raises:
        InputError: there is none, it is damaged, of a later format or of an unknown schema.
    """
    path = folder / INFO_NAME
    try:
        info = ModelInfo.model_validate_json(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{folder} is not a model file: it has no {INFO_NAME}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{path}: {key}: {first['msg']}: it is damaged or was written by another version; "
            "save the model again."
        ) from None
    _check_schema(info, path)
    return info


def fingerprint_of(folder: Path, precision: str) -> str:
    """Return the SHA-256 of a model file's network, as `ModelInfo.fingerprint` says."""
    digest = hashlib.sha256((folder / ONNX_NAME).read_bytes())
    if precision == "fp16":
        digest.update((folder / WEIGHTS_NAME).read_bytes())
    return digest.hexdigest()


def weights_fingerprint_of(folder: Path) -> str:
    """Return the SHA-256 of a model file's weights, as `ModelInfo.weights` says."""
    return hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest()


def check_attributes(info: ModelInfo) -> None:
    """Check that a model's attributes mean something.

    Raises:
        InputError: it was not trained on them.
    """
    if "attributes" not in info.tasks:
        raise InputError(
            f"The model {info.name} was not trained on attributes: choose one that was."
        )


def write_model_info(folder: Path, info: ModelInfo) -> None:
    """Write a model file's `model.json`, whole or not at all."""
    write_text(folder / INFO_NAME, info.model_dump_json(indent=2) + "\n")


def _check_schema(info: ModelInfo, path: Path) -> None:
    schema = SCHEMAS.get(info.schema_name)
    if schema is None:
        raise InputError(
            f"{path}: the schema {info.schema_name!r} is unknown to this version, which knows "
            f"{', '.join(SCHEMAS)}: take a model of one of these."
        )
    if info.attributes != schema.attributes:
        raise InputError(
            f"{path}: its attributes are not those of the schema {schema.name}: "
            "take a model trained with this schema."
        )
    thresholds = info.decision.thresholds
    if thresholds and not (
        len(thresholds) == len(schema) and all(0 <= value <= 1 for value in thresholds)
    ):
        raise InputError(
            f"{path}: decision.thresholds must be {len(schema)} numbers from 0 to 1: "
            "save the model again."
        )

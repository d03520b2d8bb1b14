"""`model.json`: everything about a model but its weights."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.files import write_text
from passerby.inference.decision import BY_FREQUENCY, Decision

INFO_NAME = "model.json"
WEIGHTS_NAME = "model.safetensors"
ONNX_NAME = "model.onnx"
SEEN_NAME = "seen_files.npz"
"""Which files the model learned from and was calibrated on; see `passerby.inference.leakage`."""


Side = Annotated[int, Field(ge=8, le=4096)]
Finite = Annotated[float, Field(ge=-10, le=10)]
Spread = Annotated[float, Field(ge=1e-3, le=10)]


Task = Literal["attributes", "identity"]


def _as_schema(value: Any) -> Schema | None:
    return value if value is None or isinstance(value, Schema) else Schema.from_dict(value)


def _as_json(schema: Schema | None) -> Any:
    return None if schema is None else schema.to_dict()


SchemaField = Annotated[
    Schema | None, PlainValidator(_as_schema), PlainSerializer(_as_json, return_type=Any)
]
"""A schema inside a file: its whole content."""

PersonNames = dict[str, tuple[str, ...]]
"""Names of persons by dataset."""


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


class LearnedFrom(_Strict):
    """One dataset that a model was trained on.

    Attributes:
        name: of the dataset.
        crops: trained on; `labelled` of them with attributes.
        persons: trained on; 0 where nobody is known.
        terms: of use of the dataset; empty where none are known.
    """

    name: str
    crops: int
    labelled: int
    persons: int
    terms: str = ""


class Provenance(_Strict):
    """Where a model comes from; a model that was not trained here says nothing.

    Attributes:
        recipe: the whole recipe.
        learned_from: each dataset, and under which terms.
        persons, calibration_persons, held_out_persons: names, by dataset, of those trained on, of
            those kept back for thresholds and weights, and of those left for evaluation.
        crops: trained on.
        unlabelled_crops: without annotation, among which persons were looked for.
        pseudo_persons, pseudo_crops: found among them, and trained on in the last phase.
        frequencies: fraction of the persons trained on (or crops, where nobody is known) who have
            each attribute; one half where no label is known.
        epochs, seconds, peak_memory_mb, precision, processes, machine, finished: of the training.
        versions: of the libraries.
    """

    recipe: dict[str, Any] = {}
    learned_from: tuple[LearnedFrom, ...] = ()
    persons: PersonNames = {}
    calibration_persons: PersonNames = {}
    held_out_persons: PersonNames = {}
    crops: int = 0
    unlabelled_crops: int = 0
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
        fingerprint: SHA-256 of weights and preprocessing: what its vectors depend on, whichever
            backend computes them.
        exported_from: fingerprint of the model whose weights it holds in another precision, for
            whose vectors its own stand, as far as each export measured that; empty for none.
        files: name of each other file of the model to its SHA-256.
        precision: of the weights; "fp16" are stored once, in `model.safetensors`, which the ONNX
            file refers to, and both forms compute in float32; "int8" has the ONNX file alone, whose
            layers compute in 8 bits.
        drawn_answer: of "int8", the embedding of the first drawn crop where it was exported: other
            CPUs may round otherwise, which loading notices.
        schema_: what the attribute outputs mean, in order; in the file "schema"; None for a model
            that answers no attributes.
        tasks: what it was trained for.
        embedding_size: length of the embedding.
        preprocessing: from pixels to input.
        decision: from probabilities to labels.
        distances: calibrated distances, the best first; read by `passerby.ranking`.
        architecture: what `PersonModel` is built from.
        training: where the weights come from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format: Literal[2] = 2
    name: str
    fingerprint: str = ""
    exported_from: str = ""
    files: dict[str, str] = {}
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    drawn_answer: tuple[float, ...] = ()
    schema_: SchemaField = Field(None, alias="schema")
    tasks: tuple[Task, ...] = ("attributes",)
    embedding_size: int = Field(ge=1, le=1_000_000)
    preprocessing: Preprocessing
    decision: Decision = Decision()
    distances: tuple[dict[str, Any], ...] = ()
    architecture: dict[str, Any]
    training: Provenance = Provenance()

    @property
    def vector_fingerprint(self) -> str:
        """By which vectors are known: those of one fingerprint may be compared."""
        return self.exported_from or self.fingerprint

    @property
    def attribute_count(self) -> int:
        """How many attributes it answers."""
        return 0 if self.schema_ is None else len(self.schema_)

    def decision_by(self, rule: str | None) -> Decision:
        """Return the decision rule of a name; the model's own if left out.

        Raises:
            InputError: there is no such rule, or the model does not have what it needs.
        """
        if rule in (None, self.decision.rule):
            return self.decision
        if rule not in BY_FREQUENCY:
            return Decision(rule)  # type: ignore[arg-type]
        if len(self.training.frequencies) != self.attribute_count:
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
        InputError: there is none, it is damaged, or of another format.
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
    _check_thresholds(info, path)
    return info


def describe_files(folder: Path, preprocessing: Preprocessing) -> dict[str, Any]:
    """Return `fingerprint` and `files` of a model file that lies in a folder."""
    names = [name for name in (ONNX_NAME, WEIGHTS_NAME, SEEN_NAME) if (folder / name).is_file()]
    files = {name: sha256_of(folder / name) for name in names}
    weights = files.get(WEIGHTS_NAME) or files[ONNX_NAME]
    fingerprint = hashlib.sha256(f"{weights}\n{preprocessing.model_dump_json()}".encode())
    return {"fingerprint": fingerprint.hexdigest(), "files": files}


def check_file(folder: Path, name: str, info: ModelInfo) -> None:
    """Check that a file of the model is the one that `model.json` describes.

    Raises:
        InputError: it is missing or another one.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"{folder} is not a whole model file: {name} is missing.")
    if sha256_of(path) != info.files.get(name):
        raise InputError(
            f"{path} is damaged or not the one that {INFO_NAME} describes: save the model again."
        )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_attributes(info: ModelInfo) -> Schema:
    """Return the schema of a model that answers attributes.

    Raises:
        InputError: it answers none.
    """
    if info.schema_ is None or "attributes" not in info.tasks:
        raise InputError(
            f"The model {info.name} was not trained on attributes: choose one that was."
        )
    return info.schema_


def write_model_info(folder: Path, info: ModelInfo) -> None:
    """Write a model file's `model.json`, whole or not at all."""
    write_text(folder / INFO_NAME, info.model_dump_json(indent=2, by_alias=True) + "\n")


def _check_thresholds(info: ModelInfo, path: Path) -> None:
    thresholds = info.decision.thresholds
    count = info.attribute_count
    if thresholds and not (
        len(thresholds) == count and all(0 <= value <= 1 for value in thresholds)
    ):
        raise InputError(
            f"{path}: decision.thresholds must be {count} numbers from 0 to 1: "
            "save the model again."
        )

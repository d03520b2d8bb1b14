"""Passerby: what a pedestrian looks like, and where the same pedestrian is seen again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    __version__: str
    from passerby.calibration import (
        AnswerRule,
        Calibration,
        Matcher,
        choose_matcher,
        pool_attributes,
    )
    from passerby.data import Attribute, Column, Crops, Schema, concatenate, register_column
    from passerby.datasets import Dataset, read_crops, register_dataset
    from passerby.errors import InputError
    from passerby.evaluation import EvaluationProtocol, Report, evaluate, evaluate_arrays
    from passerby.gallery import Gallery
    from passerby.inference import (
        Decision,
        Embeddings,
        RuntimeModel,
        embed_to_folder,
        read_embeddings,
    )
    from passerby.ranking import Distance, Ranking, rank

_HOMES = {
    "Attribute": "passerby.data",
    "Column": "passerby.data",
    "Crops": "passerby.data",
    "Schema": "passerby.data",
    "concatenate": "passerby.data",
    "register_column": "passerby.data",
    "Dataset": "passerby.datasets",
    "read_crops": "passerby.datasets",
    "register_dataset": "passerby.datasets",
    "Decision": "passerby.inference",
    "Embeddings": "passerby.inference",
    "RuntimeModel": "passerby.inference",
    "embed_to_folder": "passerby.inference",
    "read_embeddings": "passerby.inference",
    "InputError": "passerby.errors",
    "EvaluationProtocol": "passerby.evaluation",
    "Report": "passerby.evaluation",
    "evaluate": "passerby.evaluation",
    "evaluate_arrays": "passerby.evaluation",
    "AnswerRule": "passerby.calibration",
    "Calibration": "passerby.calibration",
    "Matcher": "passerby.calibration",
    "choose_matcher": "passerby.calibration",
    "pool_attributes": "passerby.calibration",
    "Distance": "passerby.ranking",
    "Ranking": "passerby.ranking",
    "rank": "passerby.ranking",
    "Gallery": "passerby.gallery",
}

__all__ = [
    "AnswerRule",
    "Attribute",
    "Calibration",
    "Column",
    "Crops",
    "Dataset",
    "Decision",
    "Distance",
    "Embeddings",
    "EvaluationProtocol",
    "Gallery",
    "InputError",
    "Matcher",
    "Ranking",
    "Report",
    "RuntimeModel",
    "Schema",
    "choose_matcher",
    "concatenate",
    "embed_to_folder",
    "evaluate",
    "evaluate_arrays",
    "load_model",
    "pool_attributes",
    "rank",
    "read_crops",
    "read_embeddings",
    "register_column",
    "register_dataset",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # a tenth of a second that few commands need

        return version("passerby")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'passerby' has no attribute {name!r}")


def load_model(
    source: "Path | str | None" = None,
    threads: int | None = None,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
) -> "RuntimeModel":
    """Load a model file; see `RuntimeModel.load`."""
    from passerby.inference import RuntimeModel

    return RuntimeModel.load(source, threads, backend=backend, device=device)

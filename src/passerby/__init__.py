"""Passerby: what a pedestrian looks like, and where the same pedestrian is seen again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from passerby.calibration import Calibration, choose_distance, pool_attributes
    from passerby.data import MARKET1501_ATTRIBUTES, Crops, Schema
    from passerby.datasets import read_crops
    from passerby.errors import InputError
    from passerby.evaluation import EvaluationProtocol, Report, evaluate
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
    "MARKET1501_ATTRIBUTES": "passerby.data",
    "Crops": "passerby.data",
    "Schema": "passerby.data",
    "read_crops": "passerby.datasets",
    "Decision": "passerby.inference",
    "Embeddings": "passerby.inference",
    "RuntimeModel": "passerby.inference",
    "embed_to_folder": "passerby.inference",
    "read_embeddings": "passerby.inference",
    "InputError": "passerby.errors",
    "EvaluationProtocol": "passerby.evaluation",
    "Report": "passerby.evaluation",
    "evaluate": "passerby.evaluation",
    "Calibration": "passerby.calibration",
    "Distance": "passerby.ranking",
    "Ranking": "passerby.ranking",
    "choose_distance": "passerby.calibration",
    "pool_attributes": "passerby.calibration",
    "rank": "passerby.ranking",
    "Gallery": "passerby.gallery",
}

__all__ = [
    "MARKET1501_ATTRIBUTES",
    "Calibration",
    "Crops",
    "Decision",
    "Distance",
    "Embeddings",
    "EvaluationProtocol",
    "Gallery",
    "InputError",
    "Ranking",
    "Report",
    "RuntimeModel",
    "Schema",
    "choose_distance",
    "embed_to_folder",
    "evaluate",
    "load_model",
    "pool_attributes",
    "rank",
    "read_crops",
    "read_embeddings",
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


def load_model(source: Any = None, threads: int | None = None) -> "RuntimeModel":
    """Load a model file; see `RuntimeModel.load`."""
    from passerby.inference import RuntimeModel

    return RuntimeModel.load(source, threads)

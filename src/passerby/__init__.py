"""Passerby: what a pedestrian looks like, and where the same pedestrian is seen again."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.data import COURSE, Crops, Schema, read_crops
    from passerby.embedding import Decision, Embeddings, RuntimeModel
    from passerby.errors import InputError
    from passerby.evaluation import AttributeReport, best_thresholds, evaluate_attributes

__version__ = version("passerby")

_HOMES = {
    "COURSE": "passerby.data",
    "Crops": "passerby.data",
    "Schema": "passerby.data",
    "read_crops": "passerby.data",
    "Decision": "passerby.embedding",
    "Embeddings": "passerby.embedding",
    "RuntimeModel": "passerby.embedding",
    "InputError": "passerby.errors",
    "AttributeReport": "passerby.evaluation",
    "best_thresholds": "passerby.evaluation",
    "evaluate_attributes": "passerby.evaluation",
}

__all__ = [
    "COURSE",
    "AttributeReport",
    "Crops",
    "Decision",
    "Embeddings",
    "InputError",
    "RuntimeModel",
    "Schema",
    "best_thresholds",
    "evaluate_attributes",
    "load_model",
    "read_crops",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'passerby' has no attribute {name!r}")


def load_model(source: Any, threads: int | None = None) -> "RuntimeModel":
    """Load a model file; see `RuntimeModel.load`."""
    from passerby.embedding import RuntimeModel

    return RuntimeModel.load(source, threads)

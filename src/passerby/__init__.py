"""Passerby: what a pedestrian looks like, and where the same pedestrian is seen again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from passerby.data import COURSE, Crops, Schema, read_crops
    from passerby.embedding import (
        Decision,
        Embeddings,
        RuntimeModel,
        embed_to_folder,
        read_embeddings,
    )
    from passerby.errors import InputError
    from passerby.evaluation import Protocol, Report, evaluate
    from passerby.gallery import Gallery
    from passerby.ranking import (
        Calibration,
        Distance,
        Ranking,
        choose_distance,
        pooled_attributes,
        rank,
    )

_HOMES = {
    "COURSE": "passerby.data",
    "Crops": "passerby.data",
    "Schema": "passerby.data",
    "read_crops": "passerby.data",
    "Decision": "passerby.embedding",
    "Embeddings": "passerby.embedding",
    "RuntimeModel": "passerby.embedding",
    "embed_to_folder": "passerby.embedding",
    "read_embeddings": "passerby.embedding",
    "InputError": "passerby.errors",
    "Protocol": "passerby.evaluation",
    "Report": "passerby.evaluation",
    "evaluate": "passerby.evaluation",
    "Calibration": "passerby.ranking",
    "Distance": "passerby.ranking",
    "Ranking": "passerby.ranking",
    "choose_distance": "passerby.ranking",
    "pooled_attributes": "passerby.ranking",
    "rank": "passerby.ranking",
    "Gallery": "passerby.gallery",
}

__all__ = [
    "COURSE",
    "Calibration",
    "Crops",
    "Decision",
    "Distance",
    "Embeddings",
    "Gallery",
    "InputError",
    "Protocol",
    "Ranking",
    "Report",
    "RuntimeModel",
    "Schema",
    "choose_distance",
    "embed_to_folder",
    "evaluate",
    "load_model",
    "pooled_attributes",
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
    from passerby.embedding import RuntimeModel

    return RuntimeModel.load(source, threads)

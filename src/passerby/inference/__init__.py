"""A model file over crops, on ONNX Runtime; embeddings in memory and on disk."""

from passerby.inference.decision import Decision
from passerby.inference.embedding_store import is_embeddings, read_embeddings
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_info import (
    ModelInfo,
    Preprocessing,
    check_attributes,
    write_model_info,
)
from passerby.inference.model_location import find_model
from passerby.inference.runtime_model import RuntimeModel
from passerby.inference.storing import embed_to_folder

__all__ = [
    "Decision",
    "Embeddings",
    "ModelInfo",
    "Preprocessing",
    "RuntimeModel",
    "check_attributes",
    "embed_to_folder",
    "find_model",
    "is_embeddings",
    "read_embeddings",
    "write_model_info",
]

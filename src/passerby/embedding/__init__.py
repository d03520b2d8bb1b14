"""A model file over crops, on ONNX Runtime; embeddings in memory and on disk."""

from passerby.embedding.decision import Decision
from passerby.embedding.embedding_store import is_embeddings, read_embeddings
from passerby.embedding.embeddings import Embeddings
from passerby.embedding.model_info import (
    ModelInfo,
    Preprocessing,
    check_attributes,
    write_model_info,
)
from passerby.embedding.model_location import find_model
from passerby.embedding.runtime_model import RuntimeModel
from passerby.embedding.storing import embed_to_folder

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

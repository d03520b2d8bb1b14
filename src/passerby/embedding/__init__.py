"""A model file over crops, on ONNX Runtime."""

from passerby.embedding.decision import Decision
from passerby.embedding.embeddings import Embeddings
from passerby.embedding.model_info import ModelInfo, Preprocessing
from passerby.embedding.runtime_model import RuntimeModel

__all__ = ["Decision", "Embeddings", "ModelInfo", "Preprocessing", "RuntimeModel"]

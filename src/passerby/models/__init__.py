"""The network, and model files with its weights. Needs the `train` extra."""

from passerby.models.architecture import Architecture, Attention
from passerby.models.model_file import load_person_model, save_model
from passerby.models.person_model import Outputs, PersonModel

__all__ = [
    "Architecture",
    "Attention",
    "Outputs",
    "PersonModel",
    "load_person_model",
    "save_model",
]

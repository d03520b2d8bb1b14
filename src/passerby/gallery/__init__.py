"""Embeddings and attributes of many crops in a vector database: search, erase, retain."""

from passerby.gallery.answers import Answer, AnswerSet
from passerby.gallery.gallery import Gallery
from passerby.gallery.retention import parse_age

__all__ = ["Answer", "AnswerSet", "Gallery", "parse_age"]

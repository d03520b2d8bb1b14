"""For whom retrieval works less well: persons with and without each attribute, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from passerby.data.schema import Schema
from passerby.evaluation.retrieval import RetrievalReport
from passerby.inference.embeddings import Embeddings

FEW = 20
"""Figures of fewer queries say little."""


@dataclass(frozen=True)
class Slice:
    """Queries of the persons with and without an attribute.

    Attributes:
        attribute: in words.
        sides: "with" and "without" to number of queries, top1 and map; one may be missing.
        worse: the persons with the lower mAP, in words; None if a side is missing, or both are
            equal.
        gap: by how much it is lower; None if a side is missing.
        few: whether a side has so few queries that the gap says little.
    """

    attribute: str
    sides: Mapping[str, Mapping[str, float]]
    worse: str | None
    gap: float | None
    few: bool


def slices(retrieval: RetrievalReport, queries: Embeddings | None = None) -> list[Slice]:
    """Return the attributes, those first that make the largest difference to the mAP.

    Args:
        retrieval: the figures.
        queries: that were scored; their schema puts the attributes in words.
    """
    words = {} if queries is None or queries.crops.schema is None else _words(queries.crops.schema)
    found = [
        _slice(sides, *words.get(name, (name, f"not {name}")))
        for name, sides in retrieval.slices.items()
    ]
    return sorted(found, key=lambda row: -1 if row.gap is None else row.gap, reverse=True)


def _slice(sides: Mapping[str, Mapping[str, float]], present: str, absent: str) -> Slice:
    few = min(side["queries"] for side in sides.values()) < FEW
    if len(sides) < 2:
        return Slice(present, sides, None, None, few)
    gap = sides["with"]["map"] - sides["without"]["map"]
    worse = None if not gap else present if gap < 0 else absent
    return Slice(present, sides, worse, abs(gap), few)


def _words(schema: Schema) -> dict[str, tuple[str, str]]:
    """Return what it means to have each attribute, and not to have it."""
    return {attribute.name: (attribute.phrase, attribute.absent) for attribute in schema.attributes}

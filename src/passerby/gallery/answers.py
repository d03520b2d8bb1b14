"""What a search answers: crops, how sure it is of each, and what speaks for and against them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema


@dataclass(frozen=True)
class Answer:
    """One crop of an answer set.

    Attributes:
        hash: what it is known by.
        path: of its file; None of an upload.
        known: name of a column to what is known of it; None where it is unknown.
        added: when it was added.
        distance: to the query, √(2 − 2 cos); None without a query image.
        probability: of showing the same person; None without a query image or calibration.
        score: how probable it is that the crop fits the description, its attributes taken as
            independent; None without a description that names attributes.
        attributes: attribute to its probability.
        agree: attributes found in the query and in the crop.
        only_query, only_crop: attributes found in one of them.
    """

    hash: str
    path: str | None
    known: Mapping[str, Any]
    added: datetime
    distance: float | None
    probability: float | None
    score: float | None
    attributes: dict[str, float]
    agree: tuple[str, ...]
    only_query: tuple[str, ...]
    only_crop: tuple[str, ...]

    @property
    def disagree(self) -> tuple[str, ...]:
        """Attributes found in one of the two only."""
        return self.only_crop + self.only_query

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` and the HTTP API say."""
        return {
            "hash": self.hash,
            "path": self.path,
            **{name: to_json(value) for name, value in self.known.items()},
            "added": self.added.isoformat(),
            "distance": self.distance,
            "probability": self.probability,
            "score": self.score,
            "attributes": self.attributes,
            "agree": list(self.agree),
            "only_query": list(self.only_query),
            "only_crop": list(self.only_crop),
        }


@dataclass(frozen=True)
class AnswerSet:
    """The answer to one query.

    Attributes:
        answers: the most probable first.
        threshold: largest distance of an answer; None if the rule sets none.
        searched: rows that the answers were chosen from.
        exact: whether every row was looked at, and not an index of them.
        cut_off: whether more crops belong to the answer set than are shown.
    """

    answers: tuple[Answer, ...]
    threshold: float | None
    searched: int
    exact: bool
    cut_off: bool

    def first(self, count: int) -> "AnswerSet":
        """Return the most probable `count` answers."""
        if len(self.answers) <= count:
            return self
        return replace(self, answers=self.answers[:count], cut_off=True)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` and the HTTP API say."""
        return {
            "answers": [answer.to_dict() for answer in self.answers],
            "threshold": self.threshold,
            "searched": self.searched,
            "exact": self.exact,
            "cut_off": self.cut_off,
        }


class AttributeDifferences(NamedTuple):
    """Attributes of a query and of a crop; see `Answer`."""

    agree: tuple[str, ...] = ()
    only_query: tuple[str, ...] = ()
    only_crop: tuple[str, ...] = ()


def to_json(value: Any) -> Any:
    """Return a value of a column as JSON has it."""
    return value.isoformat() if isinstance(value, datetime) else value


def compare_attributes(
    asked: NDArray[np.bool_], found: NDArray[np.bool_], schema: Schema
) -> list[AttributeDifferences]:
    """Return what the query and each crop have both, and what one of the two has only.

    Args:
        asked: labels of the query, shape (attributes,).
        found: labels of N crops, shape (N, attributes).
        schema: names them.

    Returns:
        As in `Answer`.
    """
    names = np.array(schema.names, object)
    parts = (asked & found, asked & ~found, found & ~asked)
    return [
        AttributeDifferences(*(tuple(names[where].tolist()) for where in row))
        for row in zip(*parts, strict=True)
    ]

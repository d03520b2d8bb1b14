"""What a `--where` asks for: a tree of conditions, as a filter for the store and as a score.

Every condition holds or does not: what is unknown (no camera, no time) fulfils no comparison, and
its negation does hold. All values are written into the filter by this module, from numbers, dates
and strings that it quotes itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.decision import Decision

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Value = int | float | str | datetime
Columns = Mapping[str, NDArray[np.floating]]
"""Attribute to its probabilities, shape (N,) each."""


class Condition(Protocol):
    """A part of the tree, or all of it."""

    def sql(self) -> str:
        """Return the filter: true or false for every row, never null."""

    def attributes(self) -> frozenset[str]:
        """Return the attributes that `score` looks at."""

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        """Return how probable it is that crops fulfil it, their attributes being independent.

        What is known of a crop (camera, time, ...) counts as certain: the filter has decided it.
        """


@dataclass(frozen=True)
class Attribute:
    """An attribute is present, by a decision rule.

    Attributes:
        name: of the attribute.
        threshold: the least probability.
        rivals: attributes of the same exclusive group, with which it has to compare favourably:
            those before it, which it must exceed, and those after it, which it must equal.
    """

    name: str
    threshold: float | None
    rivals: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @classmethod
    def decided(cls, name: str, schema: Schema, decision: Decision) -> "Attribute":
        """Return the condition that `decision` finds the attribute."""
        position = schema.index(name)
        if decision.thresholds is not None:
            return cls(name, decision.thresholds[position])
        if decision.rule == "group":
            for where in schema.groups.values():
                if where.start <= position < where.stop:
                    before = schema.attributes[where.start : position]
                    after = schema.attributes[position + 1 : where.stop]
                    return cls(name, None, (before, after))
        return cls(name, 0.5)

    def sql(self) -> str:
        parts = [] if self.threshold is None else [f"{self.name} >= {_number(self.threshold)}"]
        parts += [f"{self.name} > {rival}" for rival in self.rivals[0]]
        parts += [f"{self.name} >= {rival}" for rival in self.rivals[1]]
        return f"({' AND '.join(parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset([self.name])

    def score(self, columns: Columns) -> NDArray[np.float64]:
        return columns[self.name].astype(np.float64)


@dataclass(frozen=True)
class Probability:
    """An attribute's probability compares with a number."""

    name: str
    operator: Operator
    value: float

    def sql(self) -> str:
        return f"({self.name} {_OPERATORS[self.operator]} {_number(self.value)})"

    def attributes(self) -> frozenset[str]:
        return frozenset([self.name])

    def score(self, columns: Columns) -> NDArray[np.float64]:
        probable = columns[self.name].astype(np.float64)
        return 1 - probable if self.operator in ("<", "<=") else probable


@dataclass(frozen=True)
class ColumnCondition:
    """What is known of a crop compares with a value; the unknown compares with nothing."""

    column: str
    operator: Operator
    value: Value

    def sql(self) -> str:
        test = f"{self.column} {_OPERATORS[self.operator]} {_literal(self.value)}"
        return f"({self.column} IS NOT NULL AND {test})"

    def attributes(self) -> frozenset[str]:
        return frozenset()

    def score(self, columns: Columns) -> float:
        return 1.0


@dataclass(frozen=True)
class Unknown:
    """Something is not known of a crop."""

    column: str

    def sql(self) -> str:
        return f"({self.column} IS NULL)"

    def attributes(self) -> frozenset[str]:
        return frozenset()

    def score(self, columns: Columns) -> float:
        return 1.0


@dataclass(frozen=True)
class Not:
    """The contrary."""

    part: Condition

    def sql(self) -> str:
        return f"(NOT {self.part.sql()})"

    def attributes(self) -> frozenset[str]:
        return self.part.attributes()

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        if not self.attributes():
            return 1.0
        return 1 - self.part.score(columns)


@dataclass(frozen=True)
class And:
    """All of them."""

    parts: tuple[Condition, ...]

    def sql(self) -> str:
        return f"({' AND '.join(part.sql() for part in self.parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset().union(*(part.attributes() for part in self.parts))

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        found: NDArray[np.float64] | float = 1.0
        for part in self.parts:
            found = found * part.score(columns)
        return found


@dataclass(frozen=True)
class Or:
    """At least one of them."""

    parts: tuple[Condition, ...]

    def sql(self) -> str:
        return f"({' OR '.join(part.sql() for part in self.parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset().union(*(part.attributes() for part in self.parts))

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        # a part without attributes says nothing of how probable the others are
        telling = [part for part in self.parts if part.attributes()]
        none: NDArray[np.float64] | float = 1.0
        for part in telling:
            none = none * (1 - part.score(columns))
        return 1 - none if telling else 1.0


_OPERATORS: Mapping[Operator, str] = {
    "=": "=",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


def _literal(value: Value) -> str:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return f"CAST('{moment.isoformat(sep=' ', timespec='microseconds')}' AS TIMESTAMP)"
    if isinstance(value, str):
        return quoted(value)
    return _number(value)


def quoted(text: str) -> str:
    """Return a string literal.

    Raises:
        InputError: it holds characters that no file name or source is written with.
    """
    if not text.isprintable():
        raise InputError(f"{text!r} holds characters that cannot be searched for: leave them out.")
    return "'" + text.replace("'", "''") + "'"


def _number(value: int | float) -> str:
    return repr(value)

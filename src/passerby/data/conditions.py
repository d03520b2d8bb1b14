"""What a query asks for: a tree of conditions, as a filter for a table, a score and a truth value.

As a filter every condition holds or does not: what is unknown (no camera, no time) fulfils no
comparison, and its negation does hold. On labels there are three values (Kleene): where `hat` is
unknown, so is `not hat`. All values are written into the filter by this module, from numbers, dates
and strings that it quotes itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Value = int | float | str | datetime
Columns = Mapping[str, NDArray[np.floating]]
"""Attribute to its probabilities, or its labels, shape (N,) each."""

Names = Mapping[str, str]
"""Attribute to the column of a table that holds its probabilities."""


class Condition(Protocol):
    """A part of the tree, or all of it."""

    def sql(self, names: Names) -> str:
        """Return the filter: true or false for every row, never null."""

    def attributes(self) -> frozenset[str]:
        """Return the attributes that `score` and `truth` look at."""

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        """Return how probable it is that crops fulfil it, their attributes being independent.

        What is known of a crop (camera, time, ...) counts as certain: the filter has decided it.
        """

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        """Return whether labels fulfil it: 1, 0, or NaN where that is unknown, shape (N,).

        Raises:
            InputError: it asks for something else than attributes.
        """


@dataclass(frozen=True)
class Present:
    """An attribute is present.

    Attributes:
        name: of the attribute.
        threshold: the least probability; None compares with the rivals alone.
        rivals: attributes of the same exclusive group, with which it has to compare favourably:
            those before it, which it must exceed, and those after it, which it must equal.
    """

    name: str
    threshold: float | None = 0.5
    rivals: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def sql(self, names: Names) -> str:
        mine = names[self.name]
        parts = [] if self.threshold is None else [f"{mine} >= {_number(self.threshold)}"]
        parts += [f"{mine} > {names[rival]}" for rival in self.rivals[0]]
        parts += [f"{mine} >= {names[rival]}" for rival in self.rivals[1]]
        return f"({' AND '.join(parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset([self.name])

    def score(self, columns: Columns) -> NDArray[np.float64]:
        return columns[self.name].astype(np.float64)

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        values = labels[self.name]
        return np.where(np.isnan(values), np.nan, values >= 0.5).astype(np.float32)


@dataclass(frozen=True)
class Probability:
    """An attribute's probability compares with a number."""

    name: str
    operator: Operator
    value: float

    def sql(self, names: Names) -> str:
        return f"({names[self.name]} {self.operator} {_number(self.value)})"

    def attributes(self) -> frozenset[str]:
        return frozenset([self.name])

    def score(self, columns: Columns) -> NDArray[np.float64]:
        probable = columns[self.name].astype(np.float64)
        return 1 - probable if self.operator in ("<", "<=") else probable

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        values = labels[self.name]
        compare = {
            "=": np.equal,
            "!=": np.not_equal,
            "<": np.less,
            "<=": np.less_equal,
            ">": np.greater,
            ">=": np.greater_equal,
        }[self.operator]
        return np.where(np.isnan(values), np.nan, compare(values, self.value)).astype(np.float32)


@dataclass(frozen=True)
class ColumnCondition:
    """What is known of a crop compares with a value; the unknown compares with nothing."""

    column: str
    operator: Operator
    value: Value

    def sql(self, names: Names) -> str:
        test = f"{self.column} {self.operator} {_literal(self.value)}"
        return f"({self.column} IS NOT NULL AND {test})"

    def attributes(self) -> frozenset[str]:
        return frozenset()

    def score(self, columns: Columns) -> float:
        return 1.0

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        raise _no_labels(self.column)


@dataclass(frozen=True)
class Unknown:
    """Something is not known of a crop."""

    column: str

    def sql(self, names: Names) -> str:
        return f"({self.column} IS NULL)"

    def attributes(self) -> frozenset[str]:
        return frozenset()

    def score(self, columns: Columns) -> float:
        return 1.0

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        raise _no_labels(self.column)


@dataclass(frozen=True)
class Not:
    """The contrary."""

    part: Condition

    def sql(self, names: Names) -> str:
        # databases take exponential time over nested negations
        if isinstance(self.part, Not):
            return self.part.part.sql(names)
        if isinstance(self.part, And):
            return Or(tuple(map(Not, self.part.parts))).sql(names)
        if isinstance(self.part, Or):
            return And(tuple(map(Not, self.part.parts))).sql(names)
        return f"(NOT {self.part.sql(names)})"

    def attributes(self) -> frozenset[str]:
        return self.part.attributes()

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        if not self.attributes():
            return 1.0
        return 1 - self.part.score(columns)

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        return 1 - self.part.truth(labels)


@dataclass(frozen=True)
class And:
    """All of them."""

    parts: tuple[Condition, ...]

    def sql(self, names: Names) -> str:
        return f"({' AND '.join(part.sql(names) for part in self.parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset().union(*(part.attributes() for part in self.parts))

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        found: NDArray[np.float64] | float = 1.0
        for part in self.parts:
            found = found * part.score(columns)
        return found

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        values = np.stack([part.truth(labels) for part in self.parts])
        # one that is false decides, whatever is unknown
        return np.where((values == 0).any(axis=0), np.float32(0), values.min(axis=0))


@dataclass(frozen=True)
class Or:
    """At least one of them."""

    parts: tuple[Condition, ...]

    def sql(self, names: Names) -> str:
        return f"({' OR '.join(part.sql(names) for part in self.parts)})"

    def attributes(self) -> frozenset[str]:
        return frozenset().union(*(part.attributes() for part in self.parts))

    def score(self, columns: Columns) -> NDArray[np.float64] | float:
        # a part without attributes says nothing of how probable the others are
        telling = [part for part in self.parts if part.attributes()]
        none: NDArray[np.float64] | float = 1.0
        for part in telling:
            none = none * (1 - part.score(columns))
        return 1 - none if telling else 1.0

    def truth(self, labels: Columns) -> NDArray[np.float32]:
        values = np.stack([part.truth(labels) for part in self.parts])
        return np.where((values == 1).any(axis=0), np.float32(1), values.max(axis=0))


def quote(text: str) -> str:
    """Return a string literal.

    Raises:
        InputError: it holds characters that no file name or source is written with.
    """
    if not text.isprintable():
        raise InputError(f"{text!r} holds characters that cannot be searched for: leave them out.")
    return "'" + text.replace("'", "''") + "'"


def _literal(value: Value) -> str:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return f"CAST('{moment.isoformat(sep=' ', timespec='microseconds')}' AS TIMESTAMP)"
    if isinstance(value, str):
        return quote(value)
    return _number(value)


def _number(value: int | float) -> str:
    return repr(value)


def _no_labels(column: str) -> InputError:
    return InputError(f"{column} is not an attribute, so labels do not tell it: leave it out.")

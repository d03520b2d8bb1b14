"""Attribute schemas: what the columns of an annotation file mean as binary labels, and back.

An annotation file has one row per person and integer values (Lin et al., "Improving Person
Re-identification by Attribute and Identity Learning", Pattern Recognition 2019). A schema is a
tuple of fields; each field turns its columns into binary attributes and back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError

Row = Mapping[str, int]


@dataclass(frozen=True)
class _OneColumn:
    column: str

    @property
    def name(self) -> str:
        return self.column

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Binary(_OneColumn):
    """One column with the values 1 (`absent`) and 2 (`present`): one attribute of its name."""

    absent: str
    present: str

    exclusive = False

    @property
    def attributes(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def words(self) -> tuple[str, ...]:
        return (self.present,)

    def encode(self, row: Row) -> list[bool]:
        return [_value(row, self.column, (1, 2)) == 2]

    def decode(self, labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> dict[str, int]:
        return {self.column: 2 if labels[0] else 1}


@dataclass(frozen=True)
class Choice(_OneColumn):
    """One column whose values 1 … n each stand for one of `attributes`, exactly one of them."""

    attributes: tuple[str, ...]

    exclusive = True

    @property
    def words(self) -> tuple[str, ...]:
        return self.attributes

    def encode(self, row: Row) -> list[bool]:
        chosen = _value(row, self.column, range(1, len(self.attributes) + 1))
        return [chosen == value for value, _ in enumerate(self.attributes, start=1)]

    def decode(self, labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> dict[str, int]:
        return {self.column: int(np.argmax(scores)) + 1}


@dataclass(frozen=True)
class OneOfColumns:
    """Columns of 1/2 of which at most one is 2; none set means `otherwise`, an attribute too."""

    name: str
    columns: tuple[str, ...]
    otherwise: str
    words: tuple[str, ...]

    exclusive = True

    @property
    def attributes(self) -> tuple[str, ...]:
        return (*self.columns, self.otherwise)

    def encode(self, row: Row) -> list[bool]:
        labels = [_value(row, column, (1, 2)) == 2 for column in self.columns]
        if sum(labels) > 1:
            chosen = " and ".join(c for c, label in zip(self.columns, labels, strict=True) if label)
            raise InputError(f"{chosen} are both 2, but at most one {self.name} may be: keep one")
        return [*labels, not any(labels)]

    def decode(self, labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> dict[str, int]:
        best = int(np.argmax(scores))
        return {column: 2 if i == best else 1 for i, column in enumerate(self.columns)}


Field = Binary | Choice | OneOfColumns


@dataclass(frozen=True)
class Schema:
    """An ordered set of binary attributes and how an annotation row spells them.

    Attributes:
        name: what model files call the schema; two schemas of one name are the same schema.
        fields: in the order of the attributes.
        columns: the annotation file's columns, without `id`, in the file's order.
    """

    name: str
    fields: tuple[Field, ...]
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        if sorted(self.columns) != sorted(c for field in self.fields for c in field.columns):
            raise ValueError(f"schema {self.name}: columns and fields do not match")

    def __len__(self) -> int:
        return len(self.attributes)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The names of the binary attributes, in order."""
        return tuple(a for field in self.fields for a in field.attributes)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What each attribute means in plain English, in the order of `attributes`."""
        return tuple(w for field in self.fields for w in field.words)

    @cached_property
    def groups(self) -> dict[str, slice]:
        """The mutually exclusive attributes: field name to their positions."""
        return {f.name: where for f, where in self.placed_fields() if f.exclusive}

    def placed_fields(self) -> Iterator[tuple[Field, slice]]:
        """Yield each field with the positions of its attributes."""
        start = 0
        for field in self.fields:
            stop = start + len(field.attributes)
            yield field, slice(start, stop)
            start = stop

    def index(self, attribute: str) -> int:
        """Return the position of an attribute.

        Raises:
            InputError: there is no attribute of that name.
        """
        try:
            return self.attributes.index(attribute)
        except ValueError:
            raise InputError(
                f"{attribute!r} is not an attribute of the {self.name} schema: "
                f"choose from {', '.join(self.attributes)}."
            ) from None

    def encode(self, row: Row) -> NDArray[np.bool_]:
        """Turn one annotation row into binary labels.

        Args:
            row: column name to integer value; further columns are ignored.

        Returns:
            Labels, shape (attributes,).

        Raises:
            InputError: a column is missing or holds a value that it may not.
        """
        return np.array([label for field in self.fields for label in field.encode(row)])

    def decode(
        self, labels: NDArray[np.bool_], scores: NDArray[np.floating] | None = None
    ) -> dict[str, int]:
        """Turn binary labels into an annotation row; the inverse of `encode`.

        In an exclusive group the attribute with the highest score is chosen, the first of equals.

        Args:
            labels: shape (attributes,).
            scores: e.g. probabilities, shape (attributes,); the labels themselves if left out.

        Returns:
            Column name to value, in the order of `columns`.
        """
        if scores is None:
            scores = labels.astype(np.float32)
        values: dict[str, int] = {}
        for field, where in self.placed_fields():
            values |= field.decode(labels[where], scores[where])
        return {column: values[column] for column in self.columns}


def _value(row: Row, column: str, allowed: range | tuple[int, ...]) -> int:
    if column not in row:
        raise InputError(f"column {column!r} is missing: add it")
    value = row[column]
    if value not in allowed:
        raise InputError(
            f"{column} is {value!r}: write a whole number from {allowed[0]} to {allowed[-1]}"
        )
    return value


_UPPER = ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")
_LOWER = ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")


def _colours(name: str, prefix: str, garment: str, colours: tuple[str, ...]) -> OneOfColumns:
    return OneOfColumns(
        name,
        columns=tuple(prefix + colour for colour in colours),
        otherwise=f"{prefix}multicolor",
        words=tuple(f"{colour} {garment}" for colour in (*colours, "multicolor")),
    )


_AGE = Choice("age", ("young", "teenager", "adult", "old"))
_BINARY = (
    Binary("backpack", "no backpack", "backpack"),
    Binary("bag", "no bag", "bag"),
    Binary("handbag", "no handbag", "handbag"),
    Binary("clothes", "dress", "pants"),
    Binary("down", "long lower clothing", "short lower clothing"),
    Binary("up", "long sleeve", "short sleeve"),
    Binary("hair", "short hair", "long hair"),
    Binary("hat", "no hat", "hat"),
    Binary("gender", "male", "female"),
)
_UPPER_COLOUR = _colours("upcolor", "up", "top", _UPPER)
_LOWER_COLOUR = _colours("downcolor", "down", "bottom", _LOWER)

#: The 32 attributes of the course, from the 27 columns of Market-1501_Attribute.
MARKET1501_ATTRIBUTES = Schema(
    name="course-32",
    fields=(_AGE, *_BINARY, _UPPER_COLOUR, _LOWER_COLOUR),
    columns=(
        "age",
        *(field.column for field in _BINARY),
        *_UPPER_COLOUR.columns,
        *_LOWER_COLOUR.columns,
    ),
)

SCHEMAS = {MARKET1501_ATTRIBUTES.name: MARKET1501_ATTRIBUTES}

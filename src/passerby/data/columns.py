"""What may be known of a crop: each column is declared here, once.

`Crops`, manifests, embeddings on disk, galleries, the HTTP API and the pages derive from these
declarations. `register_column` adds one, from outside the package too.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.errors import InputError

LONGEST_TEXT = 200
"""Characters of a person's, a camera's or a source's name."""


class Kind(Protocol):
    """How the values of a column look in NumPy, in text and in Arrow."""

    name: str
    example: str

    def array(self, values: Any, count: int) -> NDArray[Any]:
        """Return values as an array of `count` rows.

        Raises:
            ValueError: they are not such values, or more or fewer.
        """

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which rows hold a value, bool, shape (N,)."""

    def parse(self, text: str) -> Any:
        """Read one value; empty text is unknown.

        Raises:
            ValueError: it is not such a value; the message says how to write one.
        """

    def format(self, value: Any) -> str:
        """Return what `parse` reads; empty text if it is unknown."""

    def to_python(self, value: Any) -> Any:
        """Return one element of an array as Python and JSON know it; None if it is unknown."""

    def arrow_type(self) -> Any:
        """Return the pyarrow type."""


class Text:
    """Any text, exactly as it is written: "2" is not "0002"; unknown is empty."""

    name = "text"
    example = "north gate"

    def array(self, values: Any, count: int) -> NDArray[np.str_]:
        if isinstance(values, np.ndarray) and values.dtype.kind == "U":
            return _counted(values, count)
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
            return _counted(values.astype(np.str_), count)
        texts = [self._text(value) for value in values]
        return _counted(np.array(texts, np.str_) if texts else np.empty(0, "U1"), count)

    @staticmethod
    def _text(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, str | np.str_):
            return str(value)
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            return str(int(value))
        raise ValueError(f"{value!r} is not text")

    def known(self, values: NDArray[np.str_]) -> NDArray[np.bool_]:
        return values != ""

    def parse(self, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"write at most {LONGEST_TEXT} characters")
        if not text.isprintable() or not is_text(text):
            raise ValueError("leave out line breaks, control characters and other encodings")
        return text

    def format(self, value: Any) -> str:
        return str(value)

    def to_python(self, value: Any) -> str | None:
        return str(value) or None

    def arrow_type(self) -> Any:
        import pyarrow as pa

        return pa.string()


class Choice(Text):
    """One of a few words; unknown, or none of them, is empty."""

    name = "choice"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.example = words[0]

    def array(self, values: Any, count: int) -> NDArray[np.str_]:
        texts = super().array(values, count)
        for text in np.unique(texts).tolist():
            self.parse(text)
        return texts

    def parse(self, text: str) -> str:
        if text not in ("", *self.words):
            raise ValueError(f"write {', '.join(self.words)} or nothing")
        return text


class Time:
    """A moment, in UTC; text without a zone is taken to be in UTC; unknown is NaT."""

    name = "time"
    example = "2026-11-01T08:30:00"

    def array(self, values: Any, count: int) -> NDArray[np.datetime64]:
        if not (isinstance(values, np.ndarray) and values.dtype.kind == "M"):
            values = np.array([self._moment(value) for value in values], "datetime64[us]")
        return _counted(values.astype("datetime64[us]"), count)

    @staticmethod
    def _moment(value: Any) -> Any:
        if value is None:
            return np.datetime64("NaT")
        if isinstance(value, datetime):
            return np.datetime64(to_utc(value).replace(tzinfo=None), "us")
        if isinstance(value, np.datetime64):
            return value
        raise ValueError(f"{value!r} is not a time")

    def known(self, values: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        return ~np.isnat(values)

    def parse(self, text: str) -> datetime | None:
        if not text.strip():
            return None
        try:
            return to_utc(datetime.fromisoformat(text.strip()))
        except (ValueError, OverflowError):
            raise ValueError(f"write it like {self.example}") from None

    def format(self, value: Any) -> str:
        moment = self.to_python(value)
        return "" if moment is None else moment.isoformat()

    def to_python(self, value: Any) -> datetime | None:
        if value is None or (isinstance(value, np.datetime64) and np.isnat(value)):
            return None
        if isinstance(value, datetime):
            return to_utc(value)
        moment: datetime = value.astype("datetime64[us]").item()
        return moment.replace(tzinfo=UTC)

    def arrow_type(self) -> Any:
        import pyarrow as pa

        return pa.timestamp("us", tz="UTC")


class Box:
    """Where in its file a crop lies: left, top, width and height in whole pixels.

    int32, shape (N, 4); a width of 0 means that the whole file is the crop.
    """

    name = "box"
    example = "794 247 71 174"

    def array(self, values: Any, count: int) -> NDArray[np.int32]:
        rows = [(0, 0, 0, 0) if value is None else value for value in values]
        boxes = np.array(rows, np.float64).reshape(-1, 4) if rows else np.zeros((0, 4))
        if not np.isfinite(boxes).all() or (np.abs(boxes) >= 2**31).any():
            raise ValueError("boxes must be four finite numbers each")
        return _counted(np.rint(boxes).astype(np.int32), count)

    def known(self, values: NDArray[np.int32]) -> NDArray[np.bool_]:
        return values[:, 2] > 0

    def parse(self, text: str) -> tuple[int, int, int, int] | None:
        if not text.strip():
            return None
        try:
            left, top, width, height = (round(float(part)) for part in text.split())
        except (ValueError, OverflowError):
            width = height = 0
        if not (0 < width < 2**31 and 0 < height < 2**31):
            raise ValueError(f"write left, top, width and height in pixels, like {self.example}")
        if max(abs(left), abs(top)) >= 2**31:
            raise ValueError("a box of this size lies in no picture")
        return left, top, width, height

    def format(self, value: Any) -> str:
        box = self.to_python(value)
        return "" if box is None else " ".join(map(str, box))

    def to_python(self, value: Any) -> list[int] | None:
        if value is None or value[2] <= 0:
            return None
        return [int(part) for part in value]

    def arrow_type(self) -> Any:
        import pyarrow as pa

        return pa.list_(pa.int32(), 4)


class Number:
    """A number; unknown is NaN."""

    name = "number"
    example = "3.5"

    def array(self, values: Any, count: int) -> NDArray[np.float64]:
        numbers = [np.nan if value is None else value for value in values]
        return _counted(np.array(numbers, np.float64), count)

    def known(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        return ~np.isnan(values)

    def parse(self, text: str) -> float | None:
        if not text.strip():
            return None
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise ValueError(f"write a number, like {self.example}")
        return number

    def format(self, value: Any) -> str:
        number = self.to_python(value)
        return "" if number is None else repr(number).removesuffix(".0")

    def to_python(self, value: Any) -> float | None:
        return None if value is None or np.isnan(value) else float(value)

    def arrow_type(self) -> Any:
        import pyarrow as pa

        return pa.float64()


TEXT, TIME, BOX, NUMBER = Text(), Time(), Box(), Number()


@dataclass(frozen=True)
class Column:
    """One thing that may be known of a crop.

    Attributes:
        name: in manifests, galleries, queries and JSON.
        kind: how its values look.
        about: what it says, for help texts.
        in_gallery: whether galleries keep it, search by it and show it.
        personal: whether it may tell who somebody is: erasing searches every file for it, and
            no log holds it.
    """

    name: str
    kind: Kind
    about: str
    in_gallery: bool = True
    personal: bool = False


COLUMNS: dict[str, Column] = {}
"""All columns by name, in the order in which tables show them."""

QUERY_WORDS = ("and", "or", "not", "in", "unknown")
"""What queries cannot use as a bare name."""

_RESERVED = ("path", "split", "hash", "frame", "added", "thumbnail", "embedding", "labels")
"""What tables call other things."""


def register_column(column: Column) -> None:
    """Add a column to everything that is made of crops from now on.

    Raises:
        ValueError: there is one of that name, or the name cannot be written in a query, or is
            one that galleries give to attributes (a0000).
    """
    if column.name in COLUMNS or column.name in _RESERVED:
        raise ValueError(f"there is a column {column.name!r} already")
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z_][a-z0-9_]*", column.name):
        raise ValueError(
            f"{column.name!r} is not a name of small letters, digits and _, two letters at least"
        )
    if column.name in QUERY_WORDS:
        raise ValueError(f"{column.name!r} is a word of the query language")
    COLUMNS[column.name] = column


DISTRACTOR, JUNK = "distractor", "junk"
"""Roles of crops that show no known person: a distractor, such as a wrong detection, stays in a
gallery as a wrong answer; junk never counts."""

for _column in (
    Column("dataset", TEXT, "the set that its person and camera are named in"),
    Column("person", TEXT, "whom it shows", personal=True),
    Column("camera", TEXT, "who took it"),
    Column("track", TEXT, "crops of one person that a tracker linked, within its source"),
    Column("time", TIME, "when it was taken"),
    Column("source", TEXT, "where it comes from: a video, a folder, a client"),
    Column("box", BOX, "where in its file it lies: left top width height, in pixels"),
    Column(
        "role",
        Choice(DISTRACTOR, JUNK),
        f"{DISTRACTOR} or {JUNK}; empty for others",
        in_gallery=False,
    ),
):
    register_column(_column)


def gallery_columns() -> tuple[Column, ...]:
    """Return the columns that galleries keep."""
    return tuple(column for column in COLUMNS.values() if column.in_gallery)


def parse_value(name: str, text: str, where: str) -> Any:
    """Read a value of a column as people write it.

    Args:
        name: of the column.
        text: as it is written.
        where: file and line, for the message.

    Raises:
        InputError: it is not such a value.
    """
    try:
        return COLUMNS[name].kind.parse(text)
    except ValueError as error:
        raise InputError(f"{where}: {name} is {text[:80]!r}: {error}.") from None


def to_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one that names no zone is taken to be there.

    Raises:
        OverflowError: it lies beyond the calendar.
    """
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def is_text(value: str) -> bool:
    """Tell whether a name or an argument can be stored: those in other encodings cannot."""
    return "\0" not in value and value.encode("utf-8", "replace").decode() == value


def _counted(values: NDArray[Any], count: int) -> NDArray[Any]:
    if values.shape[:1] != (count,):
        raise ValueError(f"there must be {count} values, not {len(values)}")
    return values

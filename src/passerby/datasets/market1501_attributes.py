"""Market-1501_Attribute: its 32 binary attributes, and how its files write them.

An annotation file has one row per person and whole numbers (Lin et al., "Improving Person
Re-identification by Attribute and Identity Learning", Pattern Recognition 2019). Nothing outside
this module knows its columns.
"""

import csv
import io
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Attribute, Schema
from passerby.datasets.problems import Problems, list_few
from passerby.errors import InputError

Row = Mapping[str, int]

_AGES = ("young", "teenager", "adult", "old")
_BINARY = (
    # column, meaning of 1, meaning of 2
    ("backpack", "no backpack", "backpack"),
    ("bag", "no bag", "bag"),
    ("handbag", "no handbag", "handbag"),
    ("clothes", "dress", "pants"),
    ("down", "long lower clothing", "short lower clothing"),
    ("up", "long sleeve", "short sleeve"),
    ("hair", "short hair", "long hair"),
    ("hat", "no hat", "hat"),
    ("gender", "male", "female"),
)
_UPPER = ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")
_LOWER = ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")
_MULTICOLOR = "multicolor"
"""What a person without one of the colours is said to wear."""


def _colours(group: str, prefix: str, garment: str, colours: tuple[str, ...]) -> list[Attribute]:
    return [
        Attribute(prefix + colour, f"{colour} {garment}", group)
        for colour in (*colours, _MULTICOLOR)
    ]


MARKET1501_ATTRIBUTES = Schema(
    (
        *(Attribute(age, group="age") for age in _AGES),
        *(Attribute(column, yes, absent=no) for column, no, yes in _BINARY),
        *_colours("upper colour", "up", "top", _UPPER),
        *_colours("lower colour", "down", "bottom", _LOWER),
    ),
    name="market1501-attributes",
)
"""The 32 attributes of the course, from the 27 columns of Market-1501_Attribute."""

COLUMNS = (
    "age",
    *(column for column, _, _ in _BINARY),
    *(f"up{colour}" for colour in _UPPER),
    *(f"down{colour}" for colour in _LOWER),
)
"""The annotation file's columns, without `id`, in the file's order."""

OFFICIAL_COLOURS = ("upper colour", "lower colour")
"""Groups of which the official script knows no "multicolor"."""


def encode(row: Row) -> NDArray[np.bool_]:
    """Turn one annotation row into binary labels.

    Args:
        row: column name to integer value; further columns are ignored.

    Returns:
        Labels, bool, shape (32,).

    Raises:
        InputError: a column is missing or holds a value that it may not.
    """
    age = _value(row, "age", range(1, len(_AGES) + 1))
    labels = [age == number for number, _ in enumerate(_AGES, start=1)]
    labels += [_value(row, column, (1, 2)) == 2 for column, _, _ in _BINARY]
    for group, prefix, colours in (("upper", "up", _UPPER), ("lower", "down", _LOWER)):
        mine = [_value(row, prefix + colour, (1, 2)) == 2 for colour in colours]
        if sum(mine) > 1:
            chosen = " and ".join(
                prefix + colour for colour, label in zip(colours, mine, strict=True) if label
            )
            raise InputError(
                f"{chosen} are both 2, but at most one {group} colour may be: keep one"
            )
        labels += [*mine, not any(mine)]
    return np.array(labels)


def decode(labels: NDArray[np.bool_], scores: NDArray[np.floating] | None = None) -> dict[str, int]:
    """Turn binary labels into an annotation row; the inverse of `encode`.

    In an exclusive group the attribute with the highest score is chosen, the first of equals.

    Args:
        labels: shape (32,).
        scores: e.g. probabilities, shape (32,); the labels themselves if left out.

    Returns:
        Column name to value, in the order of `COLUMNS`.
    """
    if scores is None:
        scores = labels.astype(np.float32)
    values: dict[str, int] = {}
    for question in MARKET1501_ATTRIBUTES.fields:
        names = MARKET1501_ATTRIBUTES.names[question.place]
        if not question.exclusive:
            values[names[0]] = 2 if labels[question.place][0] else 1
            continue
        best = int(np.argmax(scores[question.place]))
        if question.name == "age":
            values["age"] = best + 1
        else:
            values |= {name: 2 if i == best else 1 for i, name in enumerate(names)}
    return {column: values[column] for column in COLUMNS}


def choose_one_of_each_group(
    labels: NDArray[np.bool_], scores: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return the labels as an annotation file can hold them: one age and one colour each."""
    return encode(decode(labels, scores))


@dataclass
class Annotations:
    """What an annotation file says.

    Attributes:
        labels: person id to labels, each of shape (attributes,).
        rejected: persons whose row is wrong; their problem is known already.
    """

    labels: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)


def read_annotation_csv(path: Path, problems: Problems) -> Annotations:
    """Read the labels of each person from a CSV file with the columns `id` and `COLUMNS`.

    Args:
        path: the file; its columns may stand in any order.
        problems: receives one sentence for each missing, repeated or unknown column, repeated id
            or value out of range; such rows are left out.
    """
    try:
        rows = list(csv.reader(io.StringIO(_read_text(path))))
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}): save it again.") from None
    if len(rows) < 2 or not rows[0]:
        problems.add(f"{path} is empty: it needs a header and one row per person.")
        return Annotations()
    header = [name.strip() for name in rows[0]]
    if not _check_header(path, header, problems):
        return Annotations()
    if (coding := _other_coding(header, rows[1:])) is not None:
        problems.add(
            f"{path}: its labels are {coding}, but this format writes 1 for no and 2 for yes: "
            "recode them, or give a manifest, whose labels are 0 and 1."
        )
        return Annotations()

    annotations = Annotations()
    for line, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            problems.add(
                f"{where}: {len(cells)} values for {len(header)} columns: write one for each."
            )
            continue
        row = _numbers(dict(zip(header, cells, strict=True)), where, annotations, problems)
        if row is not None:
            _store(row["id"], row, where, annotations, problems)
    return annotations


def read_market_mat(path: Path, part: str, problems: Problems) -> Annotations:
    """Read the labels of one part of Market-1501_Attribute's `market_attribute.mat`.

    Fields are matched by name: their order differs between the two parts.

    Args:
        path: the file.
        part: "train" or "test".
        problems: receives one sentence for each missing field or value out of range.
    """
    fields = _mat_fields(path, part)
    missing = [name for name in ("image_index", *COLUMNS) if name not in fields]
    if missing:
        problems.add(f"{path}, {part}: no field {list_few(missing)}: get the file again.")
        return Annotations()
    annotations = Annotations()
    for person, row in _mat_rows(fields, path, part):
        _store(person, row, f"{path}, {part}, person {person}", annotations, problems)
    return annotations


def annotation_csv(rows: Iterable[tuple[str, Mapping[str, int]]], columns: Sequence[str]) -> str:
    """Return the text of an annotation file.

    Args:
        rows: for each line its id and its values by column.
        columns: the columns after `id`, in order.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *columns])
    for name, values in rows:
        writer.writerow([name, *(values[column] for column in columns)])
    return text.getvalue()


def _value(row: Row, column: str, allowed: range | tuple[int, ...]) -> int:
    if column not in row:
        raise InputError(f"column {column!r} is missing: add it")
    value = row[column]
    if value not in allowed:
        raise InputError(
            f"{column} is {value!r}: write a whole number from {allowed[0]} to {allowed[-1]}"
        )
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8: save it as CSV in UTF-8.") from None


def _check_header(path: Path, header: list[str], problems: Problems) -> bool:
    wanted = ("id", *COLUMNS)
    missing = [name for name in wanted if name not in header]
    repeated = sorted({name for name in header if header.count(name) > 1})
    unknown = [name for name in header if name not in wanted]
    if missing:
        problems.add(f"{path}: no column {list_few(missing)}: add it to the first line.")
    if repeated:
        problems.add(f"{path}: column {list_few(repeated)} occurs twice: keep one.")
    if unknown:
        problems.add(
            f"{path}: the column {list_few(unknown)} is not one of this format's 27: remove it, or "
            "give a manifest (`passerby data convert`), where every 0/1 column is an attribute."
        )
    return not missing and not repeated


def _other_coding(header: list[str], rows: list[list[str]]) -> str | None:
    """Return how binary columns are coded, if it is with 0 and 1 or −1 and 1; else None."""
    binary = [i for i, name in enumerate(header) if name in COLUMNS and name != "age"]
    found = {row[i].strip() for row in rows if len(row) == len(header) for i in binary}
    for coding in (("0", "1"), ("-1", "1")):
        if len(found) > 1 and found <= set(coding):
            return f"{coding[0]} and {coding[1]}"
    return None


def _numbers(
    row: dict[str, str], where: str, annotations: Annotations, problems: Problems
) -> dict[str, int] | None:
    numbers: dict[str, int] = {}
    for column, text in sorted(row.items(), key=lambda cell: cell[0] != "id"):
        if column not in COLUMNS and column != "id":
            continue
        try:
            numbers[column] = int(text)
        except ValueError:
            problems.add(f"{where}: {column} is {reprlib.repr(text)}: write a whole number.")
            if "id" in numbers:
                annotations.rejected.add(numbers["id"])
            return None
    return numbers


def _store(person: int, row: Row, where: str, annotations: Annotations, problems: Problems) -> None:
    if person in annotations.labels:
        problems.add(f"{where}: person {person} occurs twice: keep one row.")
        return
    try:
        annotations.labels[person] = encode(row)
    except InputError as error:
        annotations.rejected.add(person)
        problems.add(f"{where}: {error}.")


def _mat_rows(fields: dict[str, Any], path: Path, part: str) -> list[tuple[int, dict[str, int]]]:
    try:
        columns = [[_whole(value) for value in fields[column]] for column in COLUMNS]
        persons = [int(person) for person in fields["image_index"]]
        return [
            (person, dict(zip(COLUMNS, values, strict=True)))
            for person, *values in zip(persons, *columns, strict=True)
        ]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{path}, {part}: its fields are not columns of whole numbers, one for each person "
            f"({error}): get the file again."
        ) from error


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value} is not whole")
    return int(value)


def _mat_fields(path: Path, part: str) -> dict[str, list]:
    from mat4py import loadmat

    try:
        content = loadmat(str(path))
        fields = content["market_attribute"][part]
        if not isinstance(fields, dict):
            raise TypeError("not a struct")
        return fields
    except OSError:
        raise
    except Exception as error:
        # mat4py raises whatever a broken byte leads to: struct.error, zlib.error, ValueError, …
        raise InputError(
            f"{path} is not Market-1501_Attribute's market_attribute.mat "
            f"({type(error).__name__}): get the file again."
        ) from error

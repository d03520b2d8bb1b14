"""Annotation files: one row per person, in CSV (the course) or a `.mat` (Market-1501)."""

import csv
import io
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.schema import Schema
from passerby.datasets.problems import Problems, list_few
from passerby.errors import InputError


@dataclass
class Annotations:
    """What an annotation file says.

    Attributes:
        labels: person id to labels, each of shape (attributes,).
        rejected: persons whose row is wrong; their problem is known already.
    """

    labels: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)


def read_annotation_csv(path: Path, schema: Schema, problems: Problems) -> Annotations:
    """Read the labels of each person from a CSV file with the schema's columns and `id`.

    Args:
        path: the file; its columns may stand in any order.
        schema: what the columns mean.
        problems: receives one sentence for each missing or repeated column, repeated id or
            value out of range; such rows are left out.
    """
    try:
        rows = list(csv.reader(io.StringIO(_read_text(path))))
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}): save it again.") from None
    if len(rows) < 2 or not rows[0]:
        problems.add(f"{path} is empty: it needs a header and one row per person.")
        return Annotations()
    header = [name.strip() for name in rows[0]]
    if not _header_is_right(path, header, schema, problems):
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
            _store(row["id"], row, where, schema, annotations, problems)
    return annotations


def read_market_mat(path: Path, part: str, schema: Schema, problems: Problems) -> Annotations:
    """Read the labels of one part of Market-1501_Attribute's `market_attribute.mat`.

    Fields are matched by name: their order differs between the two parts.

    Args:
        path: the file.
        part: "train" or "test".
        schema: what the fields mean.
        problems: receives one sentence for each missing field or value out of range.
    """
    fields = _mat_fields(path, part)
    missing = [name for name in ("image_index", *schema.columns) if name not in fields]
    if missing:
        problems.add(f"{path}, {part}: no field {list_few(missing)}: get the file again.")
        return Annotations()
    annotations = Annotations()
    for person, row in _mat_rows(fields, path, part, schema):
        _store(person, row, f"{path}, {part}, person {person}", schema, annotations, problems)
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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8: save it as CSV in UTF-8.") from None


def _header_is_right(path: Path, header: list[str], schema: Schema, problems: Problems) -> bool:
    wanted = ("id", *schema.columns)
    missing = [name for name in wanted if name not in header]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if missing:
        problems.add(f"{path}: no column {list_few(missing)}: add it to the first line.")
    if repeated:
        problems.add(f"{path}: column {list_few(repeated)} occurs twice: keep one.")
    return not missing and not repeated


def _numbers(
    row: dict[str, str], where: str, annotations: Annotations, problems: Problems
) -> dict[str, int] | None:
    numbers: dict[str, int] = {}
    for column, text in sorted(row.items(), key=lambda cell: cell[0] != "id"):
        try:
            numbers[column] = int(text)
        except ValueError:
            problems.add(f"{where}: {column} is {reprlib.repr(text)}: write a whole number.")
            if "id" in numbers:
                annotations.rejected.add(numbers["id"])
            return None
    return numbers


def _store(
    person: int,
    row: Mapping[str, int],
    where: str,
    schema: Schema,
    annotations: Annotations,
    problems: Problems,
) -> None:
    if person in annotations.labels:
        problems.add(f"{where}: person {person} occurs twice: keep one row.")
        return
    try:
        annotations.labels[person] = schema.encode(row)
    except InputError as error:
        annotations.rejected.add(person)
        problems.add(f"{where}: {error}.")


def _mat_rows(
    fields: dict[str, Any], path: Path, part: str, schema: Schema
) -> list[tuple[int, dict[str, int]]]:
    try:
        columns = [[_whole(value) for value in fields[column]] for column in schema.columns]
        persons = [int(person) for person in fields["image_index"]]
        return [
            (person, dict(zip(schema.columns, values, strict=True)))
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

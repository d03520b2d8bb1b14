"""`crops.csv`: the rows of embeddings on disk, with paths and all that is known of the crops."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from passerby.data.columns import COLUMNS
from passerby.data.crops import Crops
from passerby.errors import InputError

# any file name is kept: bytes that are no UTF-8 too
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def write_crops_file(target: Path, crops: Crops) -> None:
    """Write absolute paths and the known columns, empty where unknown; labels are left out."""
    kinds = {name: COLUMNS[name].kind for name in crops.columns}
    columns = [
        [kinds[name].format(value) for value in values] for name, values in crops.columns.items()
    ]
    with target.open("w", **_TEXT) as file:
        writer = csv.writer(file)
        writer.writerow(["path", *crops.columns])
        writer.writerows(zip((path.absolute() for path in crops.paths), *columns, strict=True))


def read_crops_file(path: Path) -> Crops:
    """Read what `write_crops_file` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with path.open(**_TEXT) as file:
            return _crops(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: embed the crops again.") from None
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}): embed the crops again.") from error


def _crops(lines: Iterable[Sequence[str]]) -> Crops:
    header, *rows = lines
    if header[:1] != ["path"] or not set(header[1:]) <= set(COLUMNS):
        raise ValueError(f"its columns are not path and some of {', '.join(COLUMNS)}")
    if not all(len(row) == len(header) and row[0] for row in rows):
        raise ValueError("a row is cut off")
    columns: dict[str, Any] = {
        name: [COLUMNS[name].kind.parse(row[place]) for row in rows]
        for place, name in enumerate(header[1:], start=1)
    }
    return Crops([row[0] for row in rows], **columns)

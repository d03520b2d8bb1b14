"""`crops.csv`: the rows of embeddings on disk, with the paths, persons and cameras."""

import csv
from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.errors import InputError

_COLUMNS = ["path", "person", "camera"]
# any file name is kept: bytes that are no UTF-8 too
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def write_crops_file(target: Path, crops: Crops) -> None:
    """Write absolute paths, persons and cameras, empty where unknown; labels are left out."""
    persons, cameras = _ids_or_blanks(crops.persons), _ids_or_blanks(crops.cameras)
    rows = zip(crops.paths, persons, cameras, strict=False)
    with target.open("w", **_TEXT) as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows([path.absolute(), person, camera] for path, person, camera in rows)


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
    if header != _COLUMNS:
        raise ValueError(f"its columns are not {', '.join(_COLUMNS)}")
    if not all(len(row) == len(_COLUMNS) and row[0] for row in rows):
        raise ValueError("a row is cut off")
    return Crops(
        paths=tuple(Path(path) for path, _, _ in rows),
        persons=_ids([person for _, person, _ in rows]),
        cameras=_ids([camera for _, _, camera in rows]),
    )


def _ids(values: list[str]) -> NDArray[np.int64] | None:
    if not any(values):
        return None
    return np.array([int(value) for value in values], np.int64)


def _ids_or_blanks(ids: NDArray[np.int64] | None) -> Iterable[int | str]:
    return repeat("") if ids is None else ids.tolist()

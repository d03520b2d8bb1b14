"""What is to be added to a gallery: image files with what is known about them."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from passerby.data.decoding import is_image_name
from passerby.datasets.file_names import camera_of
from passerby.datasets.name_pattern import NamePattern, utc
from passerby.errors import InputError
from passerby.inference.runtime_model import OnBroken, report_broken

_PERSON = re.compile(r"^(?P<person>\d{1,9})_c\d")
_COLUMNS = ("path", "person", "camera", "time", "source")
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Sighting:
    """A crop and what is known about it.

    Attributes:
        path: of the image file.
        person, camera: whole numbers.
        time: when it was taken, with a time zone.
        source: any text that says where it comes from.
        keeps_path: whether the gallery stores the path, which of an upload is its name only.
    """

    path: Path
    person: int | None = None
    camera: int | None = None
    time: datetime | None = None
    source: str | None = None
    keeps_path: bool = True


def find_sightings(
    places: Sequence[Path],
    pattern: str | None = None,
    source: str | None = None,
    *,
    on_broken: OnBroken | None = None,
) -> list[Sighting]:
    """Find image files in folders, at any depth, and in CSV files, or take them as they are.

    Market-style names such as `0002_c1_016620005.jpg` tell person and camera.

    Args:
        places: folders, images and CSV files, read in this order, folders sorted by name.
        pattern: what names say instead; see `NamePattern`.
        source: of all crops that do not tell their own.
        on_broken: called with what is wrong with each name in a folder that is not like the
            pattern, and its file is left out; without it the first one stops the search.

    Raises:
        InputError: a place does not exist or holds no image, or a CSV file is not as it has to be.
    """
    if source is not None and not is_text(source):
        raise InputError(f"--source {source!r} is not text in UTF-8: write it anew.")
    names = NamePattern(pattern) if pattern is not None else None
    found: list[Sighting] = []
    for place in places:
        some = list(_of_place(place, names, source, on_broken))
        if not some:
            what = "images" if names is None else f"images whose names are like {pattern!r}"
            raise InputError(f"{place} holds no {what}: give a folder, images or a CSV file.")
        found += some
    return found


def is_text(value: str) -> bool:
    """Tell whether a name or an argument can be stored: those in other encodings cannot."""
    return "\0" not in value and value.encode("utf-8", "replace").decode() == value


def _of_place(
    place: Path, names: NamePattern | None, source: str | None, on_broken: OnBroken | None
) -> Iterator[Sighting]:
    if place.is_dir():
        files = sorted(p for p in place.rglob("*") if is_image_name(p) and p.is_file())
        for path in files:
            try:
                yield _named(path, path.relative_to(place).as_posix(), names, source)
            except InputError as error:
                report_broken([error], on_broken)
    elif not place.exists():
        raise InputError(f"{place} does not exist: give a folder, images or a CSV file.")
    elif place.suffix.lower() == ".csv":
        yield from _of_csv(place, source)
    elif is_image_name(place):
        yield _named(place, place.name, names, source)
    else:
        raise InputError(f"{place} is neither an image nor a CSV file: give one of these.")


def _named(path: Path, name: str, names: NamePattern | None, source: str | None) -> Sighting:
    if names is not None:
        found = names.read(name)
        return Sighting(path, found.person, found.camera, found.time, found.source or source)
    match = _PERSON.match(path.name)
    person = int(match["person"]) if match else None
    # 0 marks a wrong detection
    return Sighting(path, person or None, camera_of(path), None, source)


def _of_csv(path: Path, source: str | None) -> Iterator[Sighting]:
    """Read a table with a column `path`, relative to it, and others of `Sighting`.

    Of columns that are not there, Market-style names tell what they tell.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            if "path" not in columns:
                raise InputError(f"{path} has no column 'path': add it.")
            unknown = [name for name in columns if name not in _COLUMNS]
            if unknown:
                raise InputError(
                    f"{path}: the column {unknown[0]!r} is not known: use {', '.join(_COLUMNS)}."
                )
            for row in rows:
                yield _of_row(row, path, rows.line_num, source)
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path} is no CSV file in UTF-8: save it as one.") from None


def _of_row(row: dict[str, str], table: Path, line: int, source: str | None) -> Sighting:
    where = f"{table}, line {line}"
    if None in row or None in row.values():
        raise InputError(f"{where}: there are more or fewer values than columns: fix the line.")
    if not all(value.isprintable() for value in row.values()):
        raise InputError(f"{where}: there are control characters in it: fix the line.")
    if not row["path"]:
        raise InputError(f"{where}: path is empty: fill it in or remove the line.")
    named = _named(table.parent / row["path"], "", None, source)
    return Sighting(
        path=named.path,
        person=_whole(row, "person", where) if "person" in row else named.person,
        camera=_whole(row, "camera", where) if "camera" in row else named.camera,
        time=_moment(row.get("time", ""), where),
        source=row.get("source") or source,
    )


def _whole(row: dict[str, str], column: str, where: str) -> int | None:
    text = row[column].strip()
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,10}", text) or abs(int(text)) > _LARGEST:
        raise InputError(f"{where}: {column} is {text!r}: write a whole number or nothing.")
    return int(text)


def _moment(text: str, where: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: time is {text!r}: write it like 2026-11-01T08:30:00.") from None

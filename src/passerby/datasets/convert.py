"""Any dataset as a manifest, or as Market-1501's folders."""

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from passerby.data.columns import COLUMNS, DISTRACTOR, JUNK
from passerby.data.crops import Crops
from passerby.datasets.manifest import MANIFEST_NAMES, write_manifest
from passerby.datasets.market1501 import FOLDERS
from passerby.datasets.problems import Problems
from passerby.datasets.reading import read_crops
from passerby.datasets.registry import PlaceDependent, present_splits, recognize
from passerby.errors import InputError
from passerby.files import replacing

FORMS = ("manifest", "market1501")

_NAMES = "original_names.csv"


def convert(
    data: Path | str,
    target: Path | str,
    *,
    to: str = "manifest",
    root: Path | str | None = None,
    pattern: str | None = None,
    accept_missing: bool = False,
    splits: Sequence[str] = (),
) -> dict[str, int]:
    """Write all splits of a dataset in another form.

    Args:
        data: a folder of any known layout, or a manifest.
        target: the manifest to write, .csv or .parquet; or the folder, which must not be there.
        to: "manifest", which names the files where they lie; or "market1501", which copies them
            into folders under names that tell person and camera. Persons and cameras that are not
            plain numbers, or come from several datasets, are numbered from 1 in the latter;
            its `original_names.csv` says which crop each file was.
        root, pattern, accept_missing: see `read_crops`.
        splits: those that are converted; all that are there if empty.

    Returns:
        Split to its number of crops.

    Raises:
        InputError: the data cannot be read, or not written in that form.
    """
    if to not in FORMS:
        raise InputError(f"`to` is {to!r}: choose from {', '.join(FORMS)}.")
    parts = {
        split: read_crops(data, split, root=root, pattern=pattern, accept_missing=accept_missing)
        for split in splits or _splits(Path(data), root, pattern)
    }
    if to == "manifest":
        check_no_part(Path(target), Path(data))
        write_manifest(Path(target), parts)
    else:
        _write_market1501(Path(target), parts)
    return {split: len(part) for split, part in parts.items()}


def check_no_part(target: Path, data: Path) -> None:
    """Check that a file to be written does not belong to the data that are read.

    Raises:
        InputError: it lies among them, or would turn their folder into another layout.
    """
    inside = data.is_dir() and target.resolve().is_relative_to(data.resolve())
    if target.exists() and (inside or target.samefile(data)):
        raise InputError(f"{target} belongs to the data that are read: choose another file.")
    if inside and target.parent.resolve() == data.resolve() and target.name in MANIFEST_NAMES:
        raise InputError(
            f"{target} would make a manifest of the folder that is read: choose another name."
        )


def _splits(place: Path, root: Path | str | None, pattern: str | None) -> tuple[str, ...]:
    if not place.exists():
        raise InputError(f"{place} does not exist: give a folder of crops, or a manifest.")
    if pattern is not None:
        return ("train",)
    dataset = recognize(place)
    if isinstance(dataset, PlaceDependent):
        dataset = dataset.at(place)
    return present_splits(dataset, place)


def _write_market1501(target: Path, parts: dict[str, Crops]) -> None:
    if target.exists():
        raise InputError(f"{target} is there already: choose another folder, or remove it.")
    unknown = [split for split in parts if split not in FOLDERS]
    if unknown:
        raise InputError(
            f"Market-1501 has no split {unknown[0]!r}, only {', '.join(FOLDERS)}: convert to a "
            "manifest, where you can call them so, or leave it out: choose others with `split`."
        )
    problems = Problems()
    for split, part in parts.items():
        _check(split, part, problems)
    problems.raise_first()
    persons = _numbers([_named(part, "person") for part in parts.values()], width=4)
    cameras = _numbers([_named(part, "camera") for part in parts.values()], width=1)
    known = [name for name in COLUMNS if any(name in part.columns for part in parts.values())]
    lines = [["file", "path", *known]]
    with replacing(target) as draft:
        for split, part in parts.items():
            folder = draft / FOLDERS[split]
            folder.mkdir(parents=True)
            for row, path in enumerate(part.paths):
                role = "" if part.role is None else part.role[row]
                special = {JUNK: "-1", DISTRACTOR: "0000"}.get(str(role))
                person = special or persons[_named(part, "person")[row]]
                camera = cameras[_named(part, "camera")[row]]
                name = f"{person}_c{camera}s1_{row:06d}_00{path.suffix.lower()}"
                _link_or_copy(path, folder / name)
                values = [
                    COLUMNS[column].kind.format(part.columns[column][row])
                    if column in part.columns
                    else ""
                    for column in known
                ]
                lines.append([f"{FOLDERS[split]}/{name}", str(path.absolute()), *values])
        with (draft / _NAMES).open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            csv.writer(file, lineterminator="\n").writerows(lines)


def _link_or_copy(path: Path, target: Path) -> None:
    """Give a file a second name, which costs no room; copy it where that cannot be."""
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)


def _check(split: str, part: Crops, problems: Problems) -> None:
    if part.box is not None and (part.box[:, 2] > 0).any():
        problems.add("Market-1501 has no boxes: cut the crops out first, or convert to a manifest.")
    for name in ("person", "camera"):
        values = part.columns.get(name)
        role = [""] * len(part) if part.role is None else part.role
        missing = values is None or any(
            not value and not (name == "person" and special)
            for value, special in zip(values, role, strict=True)
        )
        if missing:
            unknown = next(
                (row for row, value in enumerate([] if values is None else values) if not value), 0
            )
            problems.add(
                f"The {name} of some crops of the split {split!r} is unknown, "
                f"{part.paths[unknown]} first, and Market-1501's names tell it: name it, choose "
                "other splits with `split`, or convert to a manifest."
            )


def _named(part: Crops, column: str) -> list[tuple[str, str]]:
    values = part.columns[column]
    datasets = [""] * len(part) if part.dataset is None else part.dataset
    return [(str(dataset), str(value)) for dataset, value in zip(datasets, values, strict=True)]


def _numbers(parts: list[list[tuple[str, str]]], width: int) -> dict[tuple[str, str], str]:
    """Return what each name becomes: itself where all are numbers of one dataset."""
    names = sorted({name for part in parts for name in part if name[1]})
    plain = all(
        text.isascii() and text.isdecimal() and text.strip("0") and len(text) <= 20
        for _, text in names
    )
    if plain and len({dataset for dataset, _ in names}) == 1:
        return {name: name[1] for name in names}
    return {name: f"{number:0{width}d}" for number, name in enumerate(names, start=1)}

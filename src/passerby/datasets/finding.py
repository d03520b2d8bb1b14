"""Finding crops in folders, at any depth, in manifests, or as they are given."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from passerby.data.columns import COLUMNS, parse_value
from passerby.data.crops import Crops, concatenate
from passerby.data.decoding import is_image_name
from passerby.datasets.file_names import read_name
from passerby.datasets.manifest import Manifest
from passerby.datasets.name_pattern import NamePattern
from passerby.datasets.problems import Problems
from passerby.errors import InputError

OnBroken = Callable[[InputError], None]


def find_crops(
    places: Sequence[Path],
    pattern: str | None = None,
    source: str | None = None,
    *,
    root: Path | None = None,
    on_broken: OnBroken | None = None,
) -> Crops:
    """Find image files in folders, at any depth, read manifests, or take images as they are.

    Market-style names such as `0002_c1_016620005.jpg` tell person and camera, unless a manifest
    has these columns.

    Args:
        places: folders, images and manifests, read in this order, folders sorted by name.
        pattern: what names say instead; see `NamePattern`.
        source: of all crops that do not tell their own.
        root: where the paths of manifests start; their own folders if left out.
        on_broken: called with what is wrong with each name in a folder that is not like the
            pattern, and with files of a manifest that are missing; these are left out. Without
            it the first one stops the search.

    Raises:
        InputError: a place does not exist or holds no image, or a manifest is not as it has to be.
    """
    if source is not None:
        parse_value("source", source, "`source`")
    names = NamePattern(pattern) if pattern is not None else None
    parts: list[Crops] = []
    for place in places:
        some = _find_in(Path(place), names, root, on_broken)
        if not len(some):
            what = "images" if names is None else f"images whose names are like {pattern!r}"
            raise InputError(f"{place} holds no {what}: give a folder, images or a manifest.")
        parts.append(some.without_labels())
    crops = concatenate(parts)
    if source is None:
        return crops
    own = [""] * len(crops) if crops.source is None else crops.source
    return crops.replace(source=[text or source for text in own])


def read_by_pattern(place: Path, pattern: str, problems: Problems) -> Crops:
    """Read all images of a folder, at any depth, whose names say what a pattern says they do.

    Args:
        place: the folder.
        pattern: see `NamePattern`.
        problems: receives a remark on files that are not like it.
    """
    names = NamePattern(pattern)
    unlike: list[str] = []
    crops = _find_in(place, names, None, lambda error: unlike.append(str(error)))
    if not len(crops):
        some = next((p for p in sorted(place.rglob("*")) if is_image_name(p)), None)
        found = "" if some is None else f"; they are like {some.relative_to(place).as_posix()!r}"
        raise InputError(f"{place} holds no images whose names are like {pattern!r}{found}.")
    if unlike:
        problems.remark(f"{len(unlike):,} files are passed over: {unlike[0]}")
    return crops


def _find_in(
    place: Path, names: NamePattern | None, root: Path | None, on_broken: OnBroken | None
) -> Crops:
    if not place.exists():
        raise InputError(f"{place} does not exist: give a folder, images or a manifest.")
    if Manifest().recognizes(place) and (names is None or place.is_file()):
        if names is not None:
            raise InputError(
                f"{place} is a table, which says itself what is known: leave out `pattern`."
            )
        return _read_manifest(place, root, on_broken)
    if place.is_dir():
        files = sorted(p for p in _walk(place) if is_image_name(p) and p.is_file())
        return _read_names(files, place, names, on_broken)
    if is_image_name(place):
        return _read_names([place], place.parent, names, on_broken)
    raise InputError(f"{place} is not an image or a manifest (.csv, .parquet): give one of these.")


def _walk(place: Path) -> Iterator[Path]:
    """Yield all files below a folder.

    Raises:
        InputError: a folder cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"Cannot look into {error.filename}: {error.strerror}: make it readable, or leave it "
            "out."
        )

    for folder, _, names in os.walk(place, onerror=refuse):
        yield from (Path(folder) / name for name in names)


def _read_manifest(place: Path, root: Path | None, on_broken: OnBroken | None) -> Crops:
    problems = Problems(accept_missing=on_broken is not None)
    crops = Manifest().at(place, root).read_all(place, problems)
    problems.raise_first()
    if on_broken is not None:
        for remark in problems.remarks:
            on_broken(InputError(remark))
    told = Crops(crops.paths, **_columns([read_name(path) for path in crops.paths]))
    untold = {k: v for k, v in told.columns.items() if k not in crops.columns}
    return crops.replace(**untold)


def _read_names(
    files: Iterable[Path], folder: Path, names: NamePattern | None, on_broken: OnBroken | None
) -> Crops:
    paths: list[Path] = []
    rows: list[dict[str, Any]] = []
    for path in files:
        try:
            rows.append(
                read_name(path)
                if names is None
                else names.read(path.relative_to(folder).as_posix())
            )
        except InputError as error:
            if on_broken is None:
                raise
            on_broken(error)
            continue
        paths.append(path)
    return Crops(paths, **_columns(rows))


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    said = {name for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in COLUMNS if name in said}

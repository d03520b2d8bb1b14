"""Saying what a folder holds whose layout is not known, and what to do about it."""

import re
from collections.abc import Iterator
from pathlib import Path

from passerby.datasets.file_names import image_files, sub_folders
from passerby.datasets.problems import list_few

_MSMT17 = ("list_train.txt", "list_query.txt", "mask_train_v2", "mask_test_v2")
_SEQUENCE = ("seqinfo.ini", "img1", "gt/gt.txt")
_SPLITS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "query", "queries"}
    | {"probe", "gallery", "bounding_box_train", "bounding_box_test"}
)
_DEEPEST = 5


def names_no_person(folder_name: str) -> bool:
    """Tell whether a folder is named like a split, or like a place for files."""
    return folder_name.lower() in _SPLITS | {"images", "imgs", "img", "crops", "data", "archive"}


def has_foreign_layout(folder: Path) -> bool:
    """Tell whether a folder is known for a dataset that is not read: no folder of it is a person.

    `explain_layout` says which.
    """
    return _msmt17_file(folder) is not None or _holds_frames(folder)


def explain_layout(place: Path) -> str:
    """Return the sentence on a folder, or a file, that no dataset recognises."""
    if not place.exists():
        return f"{place} does not exist: give a folder of crops, or a manifest."
    if not place.is_dir():
        return (
            f"{place} is not an image or a manifest: give a JPEG or PNG file, a table of crops "
            "(.csv or .parquet), or a folder."
        )
    if not any(place.iterdir()):
        return f"{place} is empty: add crops."
    if _holds_frames(place):
        return (
            f"{place} holds frames of a video (a MOTChallenge sequence: img1/, seqinfo.ini), not "
            "crops of one pedestrian each: give a manifest with the column `box`."
        )
    if (name := _msmt17_file(place)) is not None:
        return (
            f"{place} is MSMT17 ({name}), a layout that is not read yet: give a manifest of "
            "its crops."
        )
    return f"{place} has no layout that is known: it holds {_content(place)}; {_advice(place)}."


def _msmt17_file(folder: Path) -> str | None:
    return next((name for name in _MSMT17 if (folder / name).exists()), None)


def _holds_frames(folder: Path) -> bool:
    """Tell whether a folder is a MOTChallenge sequence, or holds some."""
    return _is_sequence(folder) or any(_is_sequence(sub) for sub in sub_folders(folder))


def _is_sequence(folder: Path) -> bool:
    return any((folder / name).exists() for name in _SEQUENCE)


def _content(folder: Path) -> str:
    folders = [f"{sub.name}/" for sub in sub_folders(folder)]
    files = sorted(p.name for p in folder.iterdir() if p.is_file())
    parts = [
        f"{len(names):,} {kind}{'s' if len(names) > 1 else ''} ({list_few(names)})"
        for names, kind in ((folders, "folder"), (files, "file"))
        if names
    ]
    return " and ".join(parts) or "nothing that can be read"


def _advice(folder: Path) -> str:
    if (inner := _known_inside(folder)) is not None:
        path, title = inner
        return f"its folder {path.name}/ is known ({title}): give that one"
    image = next(_images_below(folder, _DEEPEST), None)
    if image is None:
        return "it has no images: unpack them, or give another folder"
    levels = image.relative_to(folder).parts[:-1]
    if levels and names_no_person(levels[0]):
        start = f"its folder {levels[0]}/ with "
        levels = levels[1:]
    else:
        start = ""
    if not levels:
        return f"give its folder {image.parent.name}/ itself, or a manifest"
    pattern = "/".join([*_fields(levels), f"*{image.suffix}"])
    return f"give {start}a `pattern` such as {pattern}, or a manifest"


def _known_inside(folder: Path) -> tuple[Path, str] | None:
    from passerby.datasets.registry import is_generic, known_datasets

    special = [dataset for name, dataset in known_datasets().items() if not is_generic(name)]
    fitting = ((sub, d.title) for sub in sub_folders(folder) for d in special if d.recognizes(sub))
    return next(fitting, None)


def _images_below(folder: Path, levels: int) -> Iterator[Path]:
    yield from image_files(folder)
    if levels:
        for sub in sub_folders(folder):
            yield from _images_below(sub, levels - 1)


def _fields(levels: tuple[str, ...]) -> Iterator[str]:
    """Yield what a pattern says of each folder, in the words of `NamePattern`."""
    free = ["person", "source"]
    camera_found = False
    # the last folder is likely to be a person's
    fields = []
    for name in reversed(levels):
        match = re.fullmatch(r"(cam(?:era)?[ _-]?|c)(\d+)", name, re.IGNORECASE)
        if match and not camera_found:
            fields.append(f"{match[1]}{{camera}}")
            camera_found = True
        elif free:
            fields.append(f"{{{free.pop(0)}}}")
        else:
            fields.append("*")
    yield from reversed(fields)

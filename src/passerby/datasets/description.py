"""What is in a dataset: counts, cameras, attribute frequencies, problems."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS, DISTRACTOR, JUNK
from passerby.data.crops import NOBODY_CODE, Crops, attribute_frequencies
from passerby.data.decoding import is_image_name, load_crop
from passerby.data.suspicions import describe_suspicions, find_suspicion
from passerby.datasets.manifest import MANIFEST_NAMES, SCHEMA_NAME
from passerby.datasets.problems import list_few
from passerby.datasets.reading import survey
from passerby.datasets.registry import Dataset, present_splits
from passerby.errors import InputError

_TABLES_BESIDE = (*MANIFEST_NAMES, SCHEMA_NAME)


@dataclass(frozen=True)
class Description:
    """One part of a dataset in numbers.

    Attributes:
        layout, split: what was read.
        crops, persons, distractors, junk: counts; persons is None where nobody is known.
        cameras: camera to its number of crops, "" for those whose camera is unknown; None
            without cameras.
        crops_per_person: least, median and most crops of one person.
        attributes: attribute to the fraction of *persons* who have it, of crops without persons;
            None where it is not known of anybody.
        unfilled_groups: exclusive group to those of its attributes that no person has.
        problems: what has to be fixed, one sentence each.
        remarks: what is worth knowing.
        tracks, sources: how many there are; None where none is known.
        known_labels: attribute to how many crops' labels are known.
        terms: of use; empty where there are none.
        other_splits: that are there too.
        datasets: dataset to its number of crops, "" where it is unknown.
        taken: times of the first and the last crop, in UTC; None where none is known.
    """

    layout: str
    split: str
    crops: int
    persons: int | None
    distractors: int
    junk: int
    cameras: dict[str, int] | None
    crops_per_person: tuple[int, float, int] | None
    attributes: dict[str, float | None] | None
    unfilled_groups: dict[str, tuple[str, ...]]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    tracks: int | None = None
    sources: int | None = None
    known_labels: dict[str, int] | None = None
    terms: str = ""
    other_splits: tuple[str, ...] = ()
    datasets: dict[str, int] = field(default_factory=dict)
    taken: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `passerby data describe --json` prints."""
        return asdict(self)


def describe(
    data: Path | str,
    split: str = "train",
    progress: Callable[[int, int], None] | None = None,
    *,
    root: Path | str | None = None,
    pattern: str | None = None,
    accept_missing: bool = False,
) -> Description:
    """Read a dataset, decode every image, and say what is in it.

    Args:
        data: a folder of any known layout, or a manifest.
        split: which part.
        progress: called with (images decoded, all images).
        root, pattern, accept_missing: see `read_crops`.

    Raises:
        InputError: the folder does not exist or has no known layout; anything else that is
            wrong is among the description's problems.
    """
    seen = survey(data, split, root=root, pattern=pattern, accept_missing=accept_missing)
    crops = seen.crops
    undecodable, suspicious = _look_at_each(crops, progress)
    return Description(
        layout=seen.dataset.title,
        split=seen.split,
        crops=len(crops),
        persons=crops.person_count if crops.has_persons else None,
        distractors=_count(crops, DISTRACTOR),
        junk=_count(crops, JUNK),
        cameras=_counts(crops.camera),
        crops_per_person=_crops_per_person(crops),
        attributes=_frequencies(crops),
        unfilled_groups=_unfilled_groups(crops),
        problems=(*seen.problems, *undecodable),
        remarks=(*seen.remarks, *_passed_over(crops, seen.dataset), *suspicious),
        tracks=_count_different(crops, "track"),
        sources=_count_different(crops, "source"),
        known_labels=_known_labels(crops),
        terms=seen.dataset.terms,
        other_splits=tuple(
            name for name in present_splits(seen.dataset, Path(data)) if name != seen.split
        ),
        datasets=_counts(crops.dataset) or {},
        taken=_taken(crops),
    )


def _count(crops: Crops, role: str) -> int:
    return 0 if crops.role is None else int(np.sum(crops.role == role))


def _counts(values: NDArray[np.str_] | None) -> dict[str, int] | None:
    if values is None:
        return None
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _taken(crops: Crops) -> tuple[str, str] | None:
    if crops.time is None or np.isnat(crops.time).all():
        return None
    first, last = (COLUMNS["time"].kind.format(end(crops.time)) for end in (np.nanmin, np.nanmax))
    return first, last


def _crops_per_person(crops: Crops) -> tuple[int, float, int] | None:
    if not crops.has_persons:
        return None
    codes = crops.person_codes
    _, counts = np.unique(codes[codes > NOBODY_CODE], return_counts=True)
    return int(counts.min()), float(np.median(counts)), int(counts.max())


def _count_different(crops: Crops, column: str) -> int | None:
    """Count tracks or sources; those of two datasets, or two cameras, are two."""
    if column not in crops.columns:
        return None
    within = {"track": ("dataset", "source", "camera"), "source": ("dataset",)}[column]
    names = [name for name in (*within, column) if name in crops.columns]
    rows = zip(*(crops.columns[name].tolist() for name in names), strict=True)
    return len({row for row in rows if row[-1]})


def _known_labels(crops: Crops) -> dict[str, int] | None:
    if crops.schema is None or crops.labels is None:
        return None
    counts = (~np.isnan(crops.labels)).sum(axis=0)
    return dict(zip(crops.schema.names, counts.tolist(), strict=True))


def _frequencies(crops: Crops) -> dict[str, float | None] | None:
    if crops.schema is None or not len(crops):
        return None
    known = [None if np.isnan(p) else float(p) for p in attribute_frequencies(crops)]
    return dict(zip(crops.schema.names, known, strict=True))


def _unfilled_groups(crops: Crops) -> dict[str, tuple[str, ...]]:
    if crops.schema is None or crops.labels is None or not len(crops):
        return {}
    unfilled = ~(crops.labels == 1).any(axis=0)
    found = {
        group: tuple(np.array(crops.schema.names)[where][unfilled[where]].tolist())
        for group, where in crops.schema.groups.items()
    }
    return {group: attributes for group, attributes in found.items() if attributes}


def _passed_over(crops: Crops, dataset: Dataset) -> list[str]:
    """Name the files beside the crops that are neither images of a known format nor read."""
    read = (*_TABLES_BESIDE, *getattr(dataset, "files", ()))
    problems = []
    for folder in dict.fromkeys(path.parent for path in crops.paths):
        others = sorted(
            path.name
            for path in folder.iterdir()
            if path.is_file()
            and not path.name.startswith(".")
            and not is_image_name(path)
            and path.name not in read
        )
        if others and len(crops) > 1:
            problems.append(
                f"{folder}: {list_few(others)} passed over: not an image of a known format."
            )
    return problems


def _look_at_each(
    crops: Crops, progress: Callable[[int, int], None] | None
) -> tuple[list[str], list[str]]:
    """Decode every crop; say which cannot be, and which look wrong."""
    problems: list[str] = []
    suspicious: list[tuple[str, str]] = []
    for done in range(1, len(crops) + 1):
        try:
            kind = find_suspicion(load_crop(crops, done - 1))
            if kind is not None:
                suspicious.append((str(crops.paths[done - 1]), kind))
        except InputError as error:
            problems.append(str(error))
        if progress:
            progress(done, len(crops))
    return problems, describe_suspicions(suspicious, len(crops))

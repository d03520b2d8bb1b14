"""Recognising a dataset's layout and reading it."""

from dataclasses import dataclass
from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.problems import Problems, list_few
from passerby.datasets.registry import Dataset, present_splits, recognize
from passerby.errors import InputError


@dataclass(frozen=True)
class Survey:
    """A dataset as far as it can be read, and what is wrong with it.

    Attributes:
        dataset: which it is.
        split: that was read.
        crops: what could be read.
        problems: what has to be fixed, one sentence each.
        remarks: what is worth knowing.
    """

    dataset: Dataset
    split: str
    crops: Crops
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def read_crops(
    data: Path | str,
    split: str = "train",
    *,
    root: Path | str | None = None,
    accept_missing: bool = False,
    pattern: str | None = None,
) -> Crops:
    """Read a dataset's folder, a manifest or a single image.

    Args:
        data: the folder or file.
        split: which part; a dataset with one split only is read whatever is asked.
        root: where a manifest's paths start; its own folder if left out.
        accept_missing: take what is there of a dataset that is not whole.
        pattern: what names say, see `NamePattern`; the layout is not looked at then.

    Returns:
        At least one crop.

    Raises:
        InputError: no known layout, or anything wrong with the files or the annotations.
    """
    seen = survey(data, split, root=root, accept_missing=accept_missing, pattern=pattern)
    Problems(list(seen.problems)).raise_first()
    return seen.crops


def survey(
    data: Path | str,
    split: str = "train",
    *,
    root: Path | str | None = None,
    accept_missing: bool = False,
    pattern: str | None = None,
) -> Survey:
    """Read as much of a dataset as can be read and list the problems, as `read_crops` would.

    Raises:
        InputError: the place does not exist, has no known layout, or no such split.
    """
    place = Path(data)
    if not place.exists():
        raise InputError(f"{place} does not exist: give a folder of crops, or a manifest.")
    problems = Problems(accept_missing=accept_missing)
    if pattern is not None:
        from passerby.datasets.finding import read_by_pattern
        from passerby.datasets.plain import Plain

        crops = read_by_pattern(place, pattern, problems)
        dataset: Dataset = Plain()
    else:
        dataset = recognize(place)
        if root is not None:
            if not hasattr(dataset, "with_root"):
                raise InputError(f"{place} is not a manifest: leave out `root`.")
            dataset = dataset.with_root(Path(root))
        split = _check_split(dataset, split, place)
        crops = dataset.read(place, split, problems)
    if not len(crops) and not problems.found:
        others = [name for name in present_splits(dataset, place) if name != split]
        instead = f", or choose another split ({list_few(others)})" if others else ""
        problems.add(f"{place} has no images in its split {split!r}: add crops{instead}.")
    return Survey(dataset, split, crops, tuple(problems.found), tuple(problems.remarks))


def _check_split(dataset: Dataset, split: str, place: Path) -> str:
    if len(dataset.splits) == 1:
        return dataset.splits[0]
    if split not in dataset.splits:
        there = ", ".join(present_splits(dataset, place)) or ", ".join(dataset.splits)
        raise InputError(f"{split!r} is not a split of {dataset.title}: choose from {there}.")
    return split

"""Reading data for a command: problems stop it, remarks are said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from passerby.cli.console import name_options, say

if TYPE_CHECKING:
    from passerby.data import Crops


def choose_split(data: Path, split: str | None, *wanted: str, pattern: str | None = None) -> str:
    """Return the split that is asked for; if none is, the first of the wanted that data have."""
    from passerby.datasets import recognize
    from passerby.datasets.registry import present_splits
    from passerby.errors import InputError

    if pattern is not None or not data.exists():
        return split or wanted[0]
    dataset = recognize(data)
    there = present_splits(dataset, data)
    if split is not None:
        if split not in dataset.splits:
            raise InputError(
                f"{split!r} is not a split of {dataset.title}: choose from {', '.join(there)}, or "
                "leave out `split`."
            )
        return split
    return next((name for name in wanted if name in there), there[0])


def read_data(
    data: Path,
    split: str = "train",
    root: Path | None = None,
    pattern: str | None = None,
    accept_missing: bool = False,
) -> "Crops":
    """Read crops as `passerby.datasets.read_crops` does, and say what is worth knowing.

    Raises:
        InputError: the data are not as they have to be.
    """
    from passerby.datasets import survey
    from passerby.datasets.problems import Problems

    seen = survey(data, split, root=root, pattern=pattern, accept_missing=accept_missing)
    Problems(list(seen.problems)).raise_first()
    for remark in seen.remarks:
        say(name_options(remark))
    return seen.crops


@contextmanager
def naming(title: str | None) -> Iterator[None]:
    """Say of what is wrong with one of several datasets which one it is; None for the only one."""
    from passerby.errors import InputError

    try:
        yield
    except InputError as error:
        if title is None or str(error).startswith((f"{title}:", f"{title} ")):
            raise
        raise InputError(f"{title}: {error}") from error

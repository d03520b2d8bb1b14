"""Reading data for a command: problems stop it, remarks are said."""

from pathlib import Path
from typing import TYPE_CHECKING

from passerby.cli.console import say

if TYPE_CHECKING:
    from passerby.data import Crops


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
        say(remark)
    return seen.crops

"""The log of a run: one row per epoch in `log.csv`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from passerby.files import write_text

NAME = "log.csv"


@dataclass(frozen=True)
class EpochRow:
    """One epoch.

    Attributes:
        epoch: from 1 on, over all phases.
        phase: from 1 on.
        loss: mean over the epoch's steps.
        learning_rate: at the epoch's end.
        seconds: time that the epoch took.
        crops_per_second: trained on.
    """

    epoch: int
    phase: int
    loss: float
    learning_rate: float
    seconds: float
    crops_per_second: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Undo `asdict`.

        Raises:
            KeyError, TypeError, ValueError: the values are not a row's.
        """
        return cls(**{f.name: f.type(values[f.name]) for f in fields(cls)})  # type: ignore[operator]


def write_log(run: Path, rows: Sequence[EpochRow]) -> None:
    """Write the log of all epochs so far."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(run / NAME, text.getvalue())

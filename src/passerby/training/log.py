"""The log of a run: one row per epoch in `log.csv`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        losses: mean of each loss by its name, and by its name and dataset where there are several.
    """

    epoch: int
    phase: int
    loss: float
    learning_rate: float
    seconds: float
    crops_per_second: float
    losses: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Undo `asdict`.

        Raises:
            KeyError, TypeError, ValueError: the values are not a row's.
        """
        losses = {str(name): float(value) for name, value in values["losses"].items()}
        single = {name: kind(values[name]) for name, kind in _SINGLE.items()}
        return cls(**single, losses=losses)


_SINGLE: dict[str, type] = {
    "epoch": int,
    "phase": int,
    "loss": float,
    "learning_rate": float,
    "seconds": float,
    "crops_per_second": float,
}
"""Columns that every log has, and their types."""


def write_log(run: Path, rows: Sequence[EpochRow]) -> None:
    """Write the log of all epochs so far."""
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row.losses)
    writer = csv.DictWriter(
        text, [*_SINGLE, *(f"{name} loss" for name in names)], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for row in rows:
        single = {name: getattr(row, name) for name in _SINGLE}
        writer.writerow(single | {f"{name} loss": value for name, value in row.losses.items()})
    write_text(run / NAME, text.getvalue())

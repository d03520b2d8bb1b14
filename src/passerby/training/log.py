"""The log of a run: one row per epoch in `log.csv`."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from passerby.errors import InputError
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


def read_log(run: Path, epochs: int) -> list[EpochRow]:
    """Return the rows of a run's first epochs; later ones were never checkpointed.

    Raises:
        InputError: the log is damaged.
    """
    path = run / NAME
    if not path.exists():
        return []
    try:
        rows = [
            EpochRow(**{f.name: f.type(row[f.name]) for f in fields(EpochRow)})  # type: ignore[operator]
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        ]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}): remove it and resume again.") from error
    return [row for row in rows if row.epoch <= epochs]


def write_log(run: Path, rows: list[EpochRow]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(run / NAME, text.getvalue())

"""Printing for people: results to standard output, everything else to standard error."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# file names may hold anything, so nothing printed is read as markup
out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False, markup=False)


def complain(sentence: str) -> None:
    """Print an error, as it is, to standard error."""
    err.print(Text.assemble(("Error: ", "bold red"), sentence), soft_wrap=True)


def say(sentence: str) -> None:
    """Print a remark, as it is, to standard error."""
    err.print(sentence, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON object, and nothing else, to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    # a reader that has gone is noticed here, and not when Python exits
    sys.stdout.flush()


class Update(Protocol):
    """Moves a progress bar, and renames it if a title is given."""

    def __call__(self, done: int, total: int, title: str | None = None) -> None: ...


@contextmanager
def progress_bar(title: str, unit: str = "crops") -> Iterator[Update]:
    """Show a progress bar with the time left; yields what moves it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int, title: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=title)

        yield update


_OPTIONS = [
    "accept_missing",
    "backend",
    "beta",
    "cameras",
    "channels",
    "compare",
    "data",
    "dataset",
    "decision",
    "device",
    "false_match_rate",
    "features",
    "flip",
    "gap",
    "host",
    "images",
    "kind",
    "mapping",
    "metric",
    "mean",
    "model",
    "older_than",
    "out",
    "output",
    "pattern",
    "person",
    "port",
    "precision",
    "proxy",
    "recall",
    "resume",
    "root",
    "runs",
    "set",
    "size",
    "source",
    "split",
    "std",
    "threshold",
    "token",
    "top_k",
    "trials",
    "where",
]
"""Parameters that the library names in its messages and that are options here."""


def name_options(sentence: str) -> str:
    """Name the options of the command line where a sentence names parameters."""
    names = "|".join(_OPTIONS)
    worded = re.sub(rf"`({names})`", lambda match: f"--{match[1].replace('_', '-')}", sentence)
    return re.sub(r"(--[a-z-]+) = ", r"\1 ", worded)

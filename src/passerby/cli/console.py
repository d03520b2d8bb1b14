"""Printing for people: results to standard output, everything else to standard error."""

import json
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

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(sentence: str) -> None:
    """Print an error, as it is, to standard error."""
    err.print(f"[bold red]Error:[/] {_escaped(sentence)}", soft_wrap=True)


def say(sentence: str) -> None:
    """Print a remark, as it is, to standard error."""
    err.print(_escaped(sentence), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON object, and nothing else, to standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


class Update(Protocol):
    """Moves a progress bar, and renames it if a title is given."""

    def __call__(self, done: int, total: int, title: str | None = None) -> None: ...


@contextmanager
def progress_bar(title: str, unit: str = "crops") -> Iterator[Update]:
    """Show a progress bar with the time left; yields what moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int, title: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=title)

        yield update


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)

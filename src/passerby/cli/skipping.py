"""Leaving out broken crops, and saying so."""

from collections.abc import Callable

from passerby.cli.console import say
from passerby.errors import InputError


def skip_or_stop(skip: bool) -> Callable[[InputError], None] | None:
    """Return what is done about a broken crop: it is named and left out, or (None) all stops."""
    return _say_skipped if skip else None


def _say_skipped(error: InputError) -> None:
    say(f"Skipped: {error}")

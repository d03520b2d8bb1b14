"""From the fields of the search page to a description in the query language."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from passerby.data.columns import LONGEST_TEXT
from passerby.data.query_language import quote_name
from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.server.filter_form import filter_groups

Fields = Mapping[str, Sequence[str]]
"""Name of a field to its values."""


def compose_where(fields: Fields, schema: Schema | None) -> str | None:
    """Return what a filled-in search form describes; None if it describes nothing.

    Args:
        fields: `is-…` of `filter_groups`, `camera` (names; empty where unknown), `from`, `until`
            (UTC), and `where`, a description that has to hold as well; others are ignored.
        schema: names the attributes; None if there are none.

    Raises:
        InputError: a value is not one that the form offers. The text of `where` itself is not
            looked at: it has to be read with `Gallery.parse` on its own.
    """
    parts = [group.condition(fields.get(group.name, ())) for group in filter_groups(schema)]
    parts.append(_camera(fields.get("camera", ())))
    for name, operator in (("from", ">="), ("until", "<=")):
        parts.append(_moment(name, operator, first(fields, name)))
    told = [part for part in parts if part]
    text = first(fields, "where")
    if text:
        told.append(f"({text})" if told else text)
    return " and ".join(told) or None


def first(fields: Fields, name: str) -> str:
    """Return the only value of a field; empty if it has none."""
    values = fields.get(name, ())
    return values[0].strip() if values else ""


def _camera(values: Sequence[str]) -> str:
    wanted = [_name(value) for value in dict.fromkeys(values)]
    if len(wanted) < 2:
        return f"camera = {wanted[0]}" if wanted else ""
    return f"camera in ({', '.join(wanted)})"


def _name(value: str) -> str:
    """Return a camera's name as a query writes it."""
    if not value:
        return "unknown"
    if value.isascii() and value.isdecimal():
        return value
    if len(value) > LONGEST_TEXT or not value.isprintable():
        raise InputError("Camera: tick some of those that are listed, or none.")
    return quote_name(value)


def _moment(name: str, operator: str, text: str) -> str:
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise InputError(
            f"Taken {name}: {text[:40]!r} is not a time: write it like 2026-11-01T08:30."
        ) from None
    return f"time {operator} {moment.replace(tzinfo=None).isoformat(timespec='seconds')}"

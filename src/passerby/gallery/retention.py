"""How long crops are kept."""

import re
from datetime import UTC, datetime, timedelta

from passerby.errors import InputError

_AGE = re.compile(r"(?P<number>\d{1,6})\s*(?P<unit>[hdwy])")
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}


def parse_age(text: str) -> timedelta:
    """Read an age such as 12h, 30d, 8w or 1y.

    Raises:
        InputError: it is none.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None or not int(match["number"]):
        raise InputError(f"{text!r} is not an age: write 12h, 30d, 8w or 1y.")
    return int(match["number"]) * _UNITS[match["unit"]]


def retention_days(text: str) -> int:
    """Read an age of whole days.

    Raises:
        InputError: it is none, shorter than a day, or longer than the calendar.
    """
    try:
        age = parse_age(text)
    except InputError:
        age = timedelta(0)
    if age < timedelta(days=1):
        raise InputError(
            f"{text!r} is not a time to keep crops for: write 30d, 8w or 1y, in whole days."
        )
    older_than(age)
    return age // timedelta(days=1)


def older_than(age: timedelta, now: datetime | None = None) -> str:
    """Return the filter for crops taken, or added, longer ago than an age.

    The earlier of the two counts, so that a wrong clock of a camera keeps nothing for ever.

    Args:
        age: of the oldest crops that stay.
        now: by this machine's clock if left out.

    Raises:
        InputError: it reaches back before the calendar.
    """
    try:
        limit = (now or datetime.now(UTC)).astimezone(UTC) - age
    except OverflowError:
        raise InputError(
            "That age reaches back before the calendar: choose a smaller one."
        ) from None
    moment = limit.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    literal = f"CAST('{moment}' AS TIMESTAMP)"
    return f"(added < {literal} OR (time IS NOT NULL AND time < {literal}))"

"""What names say, by a pattern that the user gives."""

import re
from datetime import datetime
from typing import Any

from passerby.data.columns import COLUMNS, parse_value, to_utc
from passerby.errors import InputError

_PARTS = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<star>\*)|(?P<text>[^{}*]+)|(?P<brace>[{}])")
_TIME = "%Y%m%d%H%M%S"


class NamePattern:
    """Such as `{source}_cam{camera}_{time:%Y%m%d-%H%M%S}_*.jpg` or `cam{camera}/{track}/*.jpg`.

    A field is a column of text, whose value is exactly what stands there, or `{time}`:
    YYYYMMDDHHMMSS or in the format of `strptime` after the colon, UTC where it names no zone; `*`
    stands for anything but a slash. A pattern with a slash is held against the path below the
    folder, one without against the file's name.
    """

    def __init__(self, text: str) -> None:
        """Read a pattern.

        Raises:
            InputError: it is not one.
        """
        self.text = text
        self._time = _TIME
        try:
            self._regex = re.compile("".join(self._part(m) for m in _PARTS.finditer(text)))
        except re.error:
            raise InputError(f"`pattern` {text!r} names a field twice: name each once.") from None
        if not self._regex.groupindex:
            raise InputError(f"`pattern` {text!r} names no field: use {_fields()}.")

    def _part(self, part: re.Match[str]) -> str:
        if part["star"]:
            return "[^/]*"
        if part["text"]:
            return re.escape(part["text"])
        field, _, form = (part["field"] or "").partition(":")
        known = field in _known_fields()
        if part["brace"] or not known or (form and field != "time"):
            raise InputError(
                f"`pattern` {self.text!r}: {part.group()!r} is not a field: use {_fields()} or *."
            )
        if form:
            self._time = form
        return f"(?P<{field}>[^/]+?)"

    def read(self, name: str) -> dict[str, Any]:
        """Return what a file's path below the folder says, by name of the column.

        Raises:
            InputError: it does not look like the pattern.
        """
        if "/" not in self.text:
            name = name.rpartition("/")[2]
        match = self._regex.fullmatch(name)
        if match is None:
            raise InputError(f"{name} is not like `pattern` {self.text!r}: fix one of them.")
        found: dict[str, Any] = {}
        for field, text in match.groupdict().items():
            if field == "time":
                found[field] = self._moment(text, name)
            else:
                found[field] = parse_value(field, text, name)
        return found

    def _moment(self, text: str, name: str) -> datetime:
        try:
            return to_utc(datetime.strptime(text, self._time))
        except (ValueError, OverflowError, re.error):
            raise InputError(
                f"{name}: {text!r} is not a time in the form {self._time!r}: fix `pattern` or the "
                "name."
            ) from None


def _known_fields() -> tuple[str, ...]:
    # a role is a dataset's code, which only its reader knows
    texts = [name for name, column in COLUMNS.items() if column.kind.name == "text"]
    return (*(name for name in texts if name != "role"), "time")


def _fields() -> str:
    return ", ".join([*(f"{{{name}}}" for name in _known_fields()), "{time:%Y%m%d-%H%M%S}"])

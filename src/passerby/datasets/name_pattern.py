"""What file names say, by a pattern that the user gives."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from passerby.errors import InputError

_PARTS = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<star>\*)|(?P<text>[^{}*]+)|(?P<brace>[{}])")
_FIELDS = {
    "person": r"-?\d{1,9}",
    "camera": r"\d{1,9}",
    "source": r"[^/]+?",
    "time": r"[^/]+?",
}
_TIME = "%Y%m%d%H%M%S"


@dataclass(frozen=True)
class Named:
    """What a name says; None for what it does not."""

    person: int | None = None
    camera: int | None = None
    time: datetime | None = None
    source: str | None = None


class NamePattern:
    """Such as `{source}_cam{camera}_{time:%Y%m%d-%H%M%S}_*.jpg`.

    `{person}` and `{camera}` are whole numbers, `{source}` is any text, `{time}` is
    YYYYMMDDHHMMSS or in the format of `strptime` after the colon, UTC where it names no zone;
    `*` stands for anything. A pattern with a slash is held against the path below the folder.
    """

    def __init__(self, text: str) -> None:
        """Read a pattern.

        Raises:
            InputError: it is none.
        """
        self.text = text
        self._time = _TIME
        try:
            self._regex = re.compile("".join(self._part(m) for m in _PARTS.finditer(text)))
        except re.error:
            raise InputError(f"--pattern {text!r} names a field twice: name each once.") from None
        if not self._regex.groupindex:
            raise InputError(
                f"--pattern {text!r} names no field: use {{camera}}, {{time}}, {{person}} or "
                "{source}."
            )

    def _part(self, part: re.Match[str]) -> str:
        if part["star"]:
            return ".*"
        if part["text"]:
            return re.escape(part["text"])
        field, _, form = (part["field"] or "").partition(":")
        if part["brace"] or field not in _FIELDS or (form and field != "time"):
            raise InputError(
                f"--pattern {self.text!r}: {part.group()!r} is not a field: use {{camera}}, "
                "{time}, {time:%Y%m%d-%H%M%S}, {person}, {source} or *."
            )
        if form:
            self._time = form
        return f"(?P<{field}>{_FIELDS[field]})"

    def read(self, name: str) -> Named:
        """Return what a file's path below the folder says.

        Raises:
            InputError: it does not look like the pattern.
        """
        if "/" not in self.text:
            name = name.rpartition("/")[2]
        match = self._regex.fullmatch(name)
        if match is None:
            raise InputError(f"{name} is not like --pattern {self.text!r}: fix one of them.")
        found = match.groupdict()
        return Named(
            person=_person(found.get("person")),
            camera=None if found.get("camera") is None else int(found["camera"]),
            time=None if found.get("time") is None else self._moment(found["time"], name),
            source=found.get("source"),
        )

    def _moment(self, text: str, name: str) -> datetime:
        try:
            return utc(datetime.strptime(text, self._time))
        except (ValueError, OverflowError, re.error):
            raise InputError(
                f"{name}: {text!r} is not a time in the form {self._time!r}: fix --pattern or the "
                "name."
            ) from None


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one that names no zone is taken to be there.

    Raises:
        OverflowError: it lies beyond the calendar.
    """
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _person(text: str | None) -> int | None:
    # distractors and junk of datasets are nobody
    return int(text) if text is not None and int(text) > 0 else None

"""What goes into the API and what comes out of it."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from passerby.datasets.name_pattern import utc
from passerby.gallery import AnswerSet
from passerby.gallery.table_schema import KNOWN

_LARGEST = 2**31 - 1


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("leave out line breaks and control characters")
    return text


def _in_utc(text: object) -> datetime:
    # pydantic itself would take "2026" for seconds since 1970
    try:
        return utc(datetime.fromisoformat(str(text)))
    except ValueError:
        raise ValueError("write it like 2026-11-01T08:30:00") from None
    except OverflowError:
        raise ValueError("choose a time within the calendar") from None


Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Reason = Annotated[
    str,
    Field(max_length=500, description="Why; it enters the audit log."),
    AfterValidator(_printable),
]
Description = Annotated[
    str,
    Field(
        max_length=2000,
        description="Such as `gender = female and upred and camera in (1, 3)`.",
    ),
]
Hash = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="SHA-256 of a crop's file, 64 hexadecimal digits.",
    ),
]
Whole = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
Moment = Annotated[
    datetime,
    Field(description="As in ISO 8601; UTC where no offset is given."),
    BeforeValidator(_in_utc),
]


class FoundCrop(BaseModel):
    """One answer; see `passerby.gallery.Answer`."""

    hash: str
    path: str | None
    person: int | None
    camera: int | None
    time: str | None
    source: str | None
    added: str
    distance: float | None
    probability: float | None
    score: float | None
    attributes: dict[str, float]
    agree: list[str]
    only_query: list[str]
    only_crop: list[str]


class SearchAnswer(BaseModel):
    """The answer set; see `passerby.gallery.AnswerSet`."""

    answers: list[FoundCrop]
    threshold: float | None
    searched: int
    exact: bool
    cut_off: bool

    @classmethod
    def of(cls, found: AnswerSet) -> Self:
        return cls.model_validate(found.to_dict())


class AddAnswer(BaseModel):
    """What became of the crops: added, or known already."""

    added: int
    known: int
    hashes: list[str]


class ForgetRequest(BaseModel):
    """Whom to erase: exactly one of `hashes`, `person` and `where`."""

    model_config = ConfigDict(extra="forbid")

    hashes: Annotated[list[Hash], Field(max_length=1000)] | None = None
    person: Whole | None = None
    where: Description | None = None
    confirm: Annotated[int, Field(ge=0, description="How many crops that are.")] | None = None
    reason: Reason | None = None


class ForgetAnswer(BaseModel):
    """What was erased; see `passerby.gallery.erasing.Erased`."""

    rows: int
    scanned: bool
    twins: list[str]


class Unconfirmed(BaseModel):
    """Nothing was erased: the number of crops was not confirmed."""

    detail: str
    rows: int


class KnownCrop(BaseModel):
    """What is stored of a crop, without its embedding and its thumbnail."""

    hash: str
    path: str | None
    person: int | None
    camera: int | None
    time: datetime | None
    source: str | None
    added: datetime
    attributes: dict[str, float]

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        attributes = {name: p for name, p in row.items() if name not in KNOWN}
        return cls(**{name: row[name] for name in KNOWN}, attributes=attributes)


class LogEntry(BaseModel):
    """One line of the audit log."""

    time: str
    who: str
    operation: str
    rows: int
    reason: str | None

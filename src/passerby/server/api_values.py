"""What goes into the API and what comes out of it.

What is known of a crop are the columns that `passerby.data.columns` declares, others' among them:
the fields for them are made when a server is.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from passerby.data.columns import LONGEST_TEXT, Column, Kind


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("leave out line breaks and control characters")
    return text


Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]
Reason = Annotated[
    str,
    Field(max_length=500, description="Why; it enters the audit log."),
    AfterValidator(_printable),
]
Description = Annotated[
    str,
    Field(
        max_length=2000,
        description='Such as `camera in (1, "north gate") and time >= 2026-11-01`; '
        "attributes stand for themselves.",
    ),
]
Hash = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="SHA-256 of a crop's file, or of that and its box, 64 hexadecimal digits.",
    ),
]


class AddAnswer(BaseModel):
    """What became of the crops: added, or known already."""

    added: int
    known: int
    hashes: list[str]
    remarks: Annotated[list[str], Field(description="What does not look like one pedestrian.")]


class ForgetRequest(BaseModel):
    """Whom to erase: exactly one of `hashes`, `person` and `where`."""

    model_config = ConfigDict(extra="forbid")

    hashes: Annotated[list[Hash], Field(max_length=1000)] | None = None
    person: Text | None = None
    dataset: Annotated[
        Text | None, Field(description="Of the person; empty if it was named in none.")
    ] = None
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


class LogEntry(BaseModel):
    """One line of the audit log."""

    time: str
    who: str
    operation: str
    rows: int
    reason: str | None


class _FoundCrop(BaseModel):
    """One answer; see `passerby.gallery.Answer`."""

    hash: str
    path: str | None
    added: str
    distance: float | None
    probability: float | None
    score: float | None
    attributes: dict[str, float]
    agree: list[str]
    only_query: list[str]
    only_crop: list[str]


class _FoundSet(BaseModel):
    """The answer set; see `passerby.gallery.AnswerSet`."""

    threshold: float | None
    searched: int
    exact: bool
    cut_off: bool


class _Remarked(BaseModel):
    remarks: Annotated[list[str], Field(description="What does not look like one pedestrian.")]


class _KnownCrop(BaseModel):
    """What is stored of a crop, without its embedding and its thumbnail."""

    hash: str
    path: str | None
    added: datetime
    attributes: dict[str, float]


class AnswerModels(NamedTuple):
    """Answers that hold what is known of crops."""

    search: type[BaseModel]
    several: type[BaseModel]
    crop: type[BaseModel]


def answer_models(columns: Iterable[Column]) -> AnswerModels:
    """Return the answers of a server.

    Args:
        columns: what is known of crops.
    """
    columns = tuple(columns)
    found = create_model(
        "FoundCrop", __base__=_FoundCrop, __doc__=_FoundCrop.__doc__, **_shown(columns, str)
    )
    answers: Any = (list[found], ...)  # type: ignore[valid-type]
    one = create_model("FoundSet", __base__=_FoundSet, __doc__=_FoundSet.__doc__, answers=answers)
    return AnswerModels(
        create_model(
            "SearchAnswer",
            __base__=(_FoundSet, _Remarked),
            __doc__=_FoundSet.__doc__,
            answers=answers,
        ),
        create_model(
            "SeveralAnswer",
            __base__=_Remarked,
            __doc__="The answer set of each person, in the order of the photos.",
            sets=(list[one], ...),  # type: ignore[valid-type]
        ),
        create_model(
            "KnownCrop",
            __base__=_KnownCrop,
            __doc__=_KnownCrop.__doc__,
            **_shown(columns, datetime),
        ),
    )


def field_type(kind: Kind) -> Any:
    """Return the type of a form's field that takes a value of a column."""
    if kind.name == "text":
        return Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(kind.parse)] | None
    if kind.name == "time":
        # pydantic itself would take "2026" for seconds since 1970
        return Annotated[datetime | None, BeforeValidator(lambda text: kind.parse(str(text)))]
    if kind.name == "number":
        return Annotated[float, Field(allow_inf_nan=False)] | None
    return Annotated[str, AfterValidator(kind.parse)] | None


def _shown(columns: Iterable[Column], moment: type) -> dict[str, Any]:
    """Return a field for each column, as `create_model` takes it."""
    types = {"text": str, "time": moment, "box": list[int], "number": float}
    return {
        column.name: (
            Annotated[types.get(column.kind.name, Any) | None, Field(description=column.about)],
            None,
        )
        for column in columns
    }

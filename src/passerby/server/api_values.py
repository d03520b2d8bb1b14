"""What goes into the API and what comes out of it."""

from datetime import datetime
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, Self

from fastapi import Form
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from passerby.data.columns import LONGEST_TEXT, gallery_columns
from passerby.errors import InputError
from passerby.gallery import AnswerSet
from passerby.gallery.answers import to_json


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("leave out line breaks and control characters")
    return text


Name = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]
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

_JSON_TYPES: dict[str, Any] = {"text": str, "time": str, "box": list[int], "number": float}
"""By the name of a column's kind."""

if TYPE_CHECKING:

    class KnownColumns(BaseModel):
        """What is known of a crop: one field for each column of a gallery."""
else:
    KnownColumns = create_model(
        "KnownColumns",
        **{
            column.name: (
                _JSON_TYPES.get(column.kind.name, Any) | None,
                Field(default=None, description=column.about),
            )
            for column in gallery_columns()
        },
    )


def read_columns(**fields: str | None) -> dict[str, Any]:
    """Return what a form says of crops, as a dependency: a field for each column of a gallery.

    Raises:
        InputError: a value is not as its column has it.
    """
    known: dict[str, Any] = {}
    for column in gallery_columns():
        try:
            value = column.kind.parse(fields.get(column.name) or "")
        except ValueError as error:
            raise InputError(f"{column.name}: {error}.") from None
        if value not in ("", None):
            known[column.name] = value
    return known


read_columns.__signature__ = Signature(  # type: ignore[attr-defined]
    [
        Parameter(
            column.name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                Form(description=f"{column.about}, such as {column.kind.example}", max_length=1000),
            ],
        )
        for column in gallery_columns()
    ]
)


class FoundCrop(KnownColumns):
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
    person: Name | None = None
    dataset: Annotated[Name, Field(description="Of the person.")] | None = None
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


class KnownCrop(KnownColumns):
    """What is stored of a crop, without its embedding and its thumbnail."""

    hash: str
    path: str | None
    added: datetime
    attributes: dict[str, float]

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        return cls(**{name: to_json(value) for name, value in row.items()})


class LogEntry(BaseModel):
    """One line of the audit log."""

    time: str
    who: str
    operation: str
    rows: int
    reason: str | None

"""What a gallery was created with: it travels in the metadata of its table."""

from datetime import UTC, datetime
from typing import Literal, Self
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from passerby.calibration.calibration import Calibration
from passerby.calibration.matcher import read_matchers
from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.decision import Decision
from passerby.inference.model_info import ModelInfo, SchemaField
from passerby.ranking.distance import Distance

METADATA_KEY = b"passerby.gallery"

DISTANCE = Distance(features="embedding")
"""What galleries search by: the normalised Euclidean distance of the embeddings, √(2 − 2 cos)."""

Images = Literal["thumbnails", "paths"]


class Settings(BaseModel):
    """What a gallery was created with.

    Attributes:
        format: version of the table's layout.
        model_name, model_fingerprint: of the model whose vectors it holds; others are refused.
        model_source: where that model was found; None is the model that ships with Passerby.
        schema_: of the attributes, in the metadata "schema"; None for a model without any.
        tasks: what the model was trained for.
        decision: when an attribute counts as present.
        embedding_size: length of the vectors.
        height, width: of the crops as the model sees them, in pixels.
        calibration: of `DISTANCE`, None if the model has none.
        images: "thumbnails" keeps a small copy of each crop; "paths" only where it lies.
        retention_days: rows older than this are purged by `passerby serve`; None keeps them.
        created: when.
        id: drawn when it was created: another gallery at the same place has another one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format: Literal[2] = 2
    model_name: str
    model_fingerprint: str
    model_source: str | None = None
    schema_: SchemaField = Field(None, alias="schema")
    tasks: tuple[str, ...]
    decision: Decision
    embedding_size: int = Field(ge=1)
    height: int
    width: int
    calibration: Calibration | None = None
    images: Images = "thumbnails"
    retention_days: int | None = Field(None, ge=1)
    created: AwareDatetime
    id: str = Field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of_model(
        cls,
        info: ModelInfo,
        source: str | None,
        *,
        images: Images = "thumbnails",
        retention_days: int | None = None,
    ) -> Self:
        """Return the settings of a new gallery.

        Args:
            info: of the model.
            source: where the model was found.
            images: what is kept of the crops.
            retention_days: after which rows are purged.
        """
        return cls(
            images=images,
            retention_days=retention_days,
            created=datetime.now(UTC).replace(microsecond=0),
            **_of_model(info, source),
        )

    def with_model(self, info: ModelInfo, source: str | None) -> Self:
        """Return the settings of the same gallery, embedded again by another model."""
        return self.model_copy(update=_of_model(info, source))

    def check_model(self, info: ModelInfo, where: str) -> None:
        """Check that a model's vectors belong here.

        Args:
            info: of the model.
            where: the gallery, for the message.

        Raises:
            InputError: they do not.
        """
        if info.vector_fingerprint != self.model_fingerprint:
            raise InputError(
                f"{where} holds vectors of the model {self.model_name} "
                f"({self.model_fingerprint[:12]}…), not of this {info.name} "
                f"({info.vector_fingerprint[:12]}…): give `model`, or embed all again with "
                f"`passerby gallery reindex {where}`."
            )
        if _names(info.schema_) != _names(self.schema_):
            raise InputError(
                f"{where} holds other attributes than those that the model {info.name} answers: "
                f"give `model`, or embed all again with `passerby gallery reindex {where}`."
            )

    def to_metadata(self) -> dict[bytes, bytes]:
        return {METADATA_KEY: self.model_dump_json(by_alias=True).encode()}

    @classmethod
    def from_metadata(cls, metadata: "dict[bytes, bytes] | None", where: str) -> Self:
        """Read what `to_metadata` wrote.

        Raises:
            InputError: this is not a gallery, or one of a later version.
        """
        text = (metadata or {}).get(METADATA_KEY)
        if text is None:
            raise InputError(
                f"{where} is not a gallery of Passerby: make one with `passerby gallery create`."
            )
        try:
            settings = cls.model_validate_json(text)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"{where} was written by another version of Passerby ({key}: {first['msg']}): "
                "use that version."
            ) from None
        return settings


def _names(schema: Schema | None) -> tuple[str, ...]:
    return () if schema is None else schema.names


def _of_model(info: ModelInfo, source: str | None) -> dict[str, object]:
    calibrations = {known.distance: known.calibration for known in read_matchers(info)}
    return {
        "model_name": info.name,
        "model_fingerprint": info.vector_fingerprint,
        "model_source": source,
        "schema_": info.schema_,
        "tasks": info.tasks,
        "decision": info.decision,
        "embedding_size": info.embedding_size,
        "height": info.preprocessing.height,
        "width": info.preprocessing.width,
        "calibration": calibrations.get(DISTANCE),
    }

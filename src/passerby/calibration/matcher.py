"""The distances that a model file carries, each with its calibration."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from passerby.calibration.calibration import Calibration
from passerby.errors import InputError
from passerby.inference.model_info import ModelInfo
from passerby.ranking.distance import FEATURES, KINDS, METRICS, Distance


class Matcher(BaseModel):
    """A distance and what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distance: Distance
    calibration: Calibration


_DISTANCES = TypeAdapter(tuple[Matcher, ...])


def read_matchers(info: ModelInfo) -> tuple[Matcher, ...]:
    """Return a model's calibrated distances, the best first; none if it was never calibrated.

    Raises:
        InputError: that part of `model.json` is damaged.
    """
    try:
        return _DISTANCES.validate_python(info.distances)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("distances", *first["loc"]))
        raise InputError(
            f"model.json: {key}: {first['msg']}: it is damaged; calibrate the model again."
        ) from None


def choose_distance(
    info: ModelInfo,
    features: str | None = None,
    metric: str | None = None,
    kind: str | None = None,
) -> tuple[Distance, Calibration | None]:
    """Return the distance that a user asks for, and its calibration if the model has it.

    Args:
        info: of the model.
        features, metric, kind: of the distance; what is left out is the model's best choice.

    Raises:
        InputError: there is no such distance, or the model has none.
    """
    for name, wanted, choices in (
        ("features", features, FEATURES),
        ("metric", metric, METRICS),
        ("kind", kind, KINDS),
    ):
        if wanted is not None and wanted not in choices:
            raise InputError(f"--{name} is {wanted!r}: choose from {', '.join(choices)}.")
    if "attributes" not in info.tasks and features not in (None, "embedding"):
        raise InputError(
            f"The model was not trained on attributes, so its {features} mean nothing: leave out "
            "--features, or choose embedding."
        )
    known = read_matchers(info)
    for candidate in known:
        distance = candidate.distance
        asked = ((features, distance.features), (metric, distance.metric), (kind, distance.kind))
        if all(wanted in (None, found) for wanted, found in asked):
            return distance, candidate.calibration
    if kind in ("weighted", "learned"):
        raise InputError(
            f"The model has no {kind} distance of that sort: calibrate it with "
            f"`passerby calibrate`, or choose from {_names(known)}."
        )
    if features is None:
        features = "embedding" if "identity" in info.tasks else "logits"
    plain = {"features": features, "metric": metric or "cosine"}
    return Distance.model_validate(plain), None


def _names(known: Sequence[Matcher]) -> str:
    return ", ".join(c.distance.name for c in known) or "the plain ones"

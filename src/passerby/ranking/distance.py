"""What is compared between two crops: every distance is Euclidean, between *signatures*."""

from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings

Features = Literal["embedding", "attributes", "logits", "both"]
Metric = Literal["euclidean", "normalized_euclidean"]
Kind = Literal["plain", "weighted", "learned"]

FEATURES: tuple[str, ...] = get_args(Features)
METRICS: tuple[str, ...] = get_args(Metric)
KINDS: tuple[str, ...] = get_args(Kind)

INSTEAD_OF_COSINE = (
    "`metric` is 'cosine': choose normalized_euclidean, √(2 − 2 cos), which orders alike."
)

_SURE = 1e-6
"""Probabilities nearer to 0 or 1 count as this far from it when they are turned into logits."""

_ROUNDING = 1e-6
"""Vectors whose length is 1 but for this much are not copied to scale them."""

_LARGEST = 1e15
"""Squares of larger values have no place in float32."""


class Distance(BaseModel):
    """A distance between crops.

    Attributes:
        features: "embedding"; "attributes", the probabilities; "logits", their log-odds; or
            "both", the embedding beside the attribute probabilities scaled to length 1.
        metric: "euclidean", or "normalized_euclidean", that of the vectors scaled to length 1,
            √(2 − 2 cos); it orders as the cosine distance, 1 − cos, does.
        weights: of each column's squared differences, not negative; none if left out.
        layer: a linear layer that the vectors pass through first, one row for each column.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    features: Features
    metric: Metric = "normalized_euclidean"
    weights: tuple[float, ...] | None = None
    layer: tuple[tuple[float, ...], ...] | None = None

    @field_validator("metric", mode="before")
    @classmethod
    def _check_metric(cls, metric: object) -> object:
        if metric == "cosine":
            raise ValueError(INSTEAD_OF_COSINE)
        return metric

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weights is not None and self.layer is not None:
            raise ValueError("a distance has weights or a layer, not both")
        if self.weights is not None and min(self.weights, default=0) < 0:
            raise ValueError("a weight is negative")
        if self.layer is not None and len({len(row) for row in self.layer}) != 1:
            raise ValueError("the rows of the layer differ in length")
        return self

    @property
    def kind(self) -> Kind:
        """Which of the three sorts of distance it is."""
        if self.weights is not None:
            return "weighted"
        return "plain" if self.layer is None else "learned"

    @property
    def name(self) -> str:
        """Features, metric and kind, e.g. "logits normalized_euclidean learned"."""
        return f"{self.features} {self.metric}" + ("" if self.kind == "plain" else f" {self.kind}")

    def signatures(self, embeddings: Embeddings) -> NDArray[np.float32]:
        """Return the vectors whose Euclidean distance this distance is.

        Args:
            embeddings: of N crops.

        Returns:
            float32, shape (N, S).

        Raises:
            InputError: a value is not a number, or there are more or fewer weights than columns.
        """
        values = columns(embeddings, self.features)
        transform = self._transform(values.shape[1])
        if transform is not None:
            values = values * transform if transform.ndim == 1 else values @ transform
            if not _within(values, -_LARGEST, _LARGEST):
                raise InputError(
                    f"The distance {self.name} gives values that cannot be compared: its weights "
                    "are damaged; calibrate the model again."
                )
        if self.metric == "normalized_euclidean":
            values = _unit(values)
        return np.ascontiguousarray(values, np.float32)

    def _transform(self, columns: int) -> NDArray[np.float32] | None:
        if self.weights is not None:
            transform = np.sqrt(np.array(self.weights, np.float32))
        elif self.layer is not None:
            transform = np.array(self.layer, np.float32)
        else:
            return None
        if len(transform) != columns:
            raise InputError(
                f"The distance {self.name} is made for {len(transform)} columns, but there are "
                f"{columns}: use it with the model that it was made for."
            )
        return transform


def columns(embeddings: Embeddings, features: Features) -> NDArray[np.float32]:
    """Return what a distance starts from, float32, shape (N, columns).

    Raises:
        InputError: a value is not a number, or the model answers no attributes.
    """
    if features != "embedding" and not _within(embeddings.known_attributes, 0, 1):
        raise InputError(
            "Some attribute probabilities are not between 0 and 1: embed these crops again."
        )
    if features in ("embedding", "both") and not _within(embeddings.vectors, -_LARGEST, _LARGEST):
        raise InputError("Some embeddings are not numbers: embed these crops again.")
    return _columns(embeddings, features)


def _within(values: NDArray[np.float32], low: float, high: float) -> bool:
    """Tell whether all values, NaN none of them, lie within bounds, without a copy of them."""
    return not values.size or bool(low <= values.min() and values.max() <= high)


def _columns(embeddings: Embeddings, features: Features) -> NDArray[np.float32]:
    match features:
        case "embedding":
            return embeddings.vectors
        case "attributes":
            return embeddings.known_attributes
        case "logits":
            p = np.clip(embeddings.known_attributes.astype(np.float64), _SURE, 1 - _SURE)
            return np.log(p / (1 - p)).astype(np.float32)
        case "both":
            return np.concatenate([embeddings.vectors, _unit(embeddings.known_attributes)], axis=1)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # in float64, where squares of tiny values do not vanish
    lengths = np.sqrt(np.einsum("ns,ns->n", values, values, dtype=np.float64))
    if np.abs(lengths - 1).max(initial=0) < _ROUNDING:
        return values
    return (values / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)

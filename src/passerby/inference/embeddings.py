"""What a model says about crops: one embedding and the attribute probabilities of each."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.schema import Schema


@dataclass(frozen=True)
class Embeddings:
    """The rows of `crops` with what a model answered for them.

    Attributes:
        crops: N crops.
        vectors: L2-normalised embeddings, float32, shape (N, D).
        attributes: attribute probabilities, float32, shape (N, attributes), in [0, 1].
        schema: names the columns of `attributes`.
        model: fingerprint of the model; vectors of different models cannot be compared.
        flip: whether each crop was averaged with its mirror image.
    """

    crops: Crops
    vectors: NDArray[np.float32]
    attributes: NDArray[np.float32]
    schema: Schema
    model: str
    flip: bool = False

    def __post_init__(self) -> None:
        count = len(self.crops)
        if self.vectors.ndim != 2 or len(self.vectors) != count:
            raise ValueError(f"vectors must have shape ({count}, D)")
        if self.attributes.shape != (count, len(self.schema)):
            raise ValueError(f"attributes must have shape ({count}, {len(self.schema)})")
        if self.vectors.dtype != np.float32 or self.attributes.dtype != np.float32:
            raise ValueError("vectors and attributes must be float32")

    def __len__(self) -> int:
        return len(self.crops)

    def of_rows(self, rows: NDArray[np.int64]) -> Self:
        """Return the embeddings of the given rows."""
        return replace(
            self,
            crops=self.crops[rows],
            vectors=self.vectors[rows],
            attributes=self.attributes[rows],
        )

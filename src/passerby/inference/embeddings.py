"""What a model says about crops: one embedding, and the attribute probabilities, of each."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.columns import COLUMNS
from passerby.data.crops import Crops
from passerby.data.schema import Schema
from passerby.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Embeddings:
    """The rows of `crops` with what a model answered for them.

    Attributes:
        crops: N crops.
        vectors: L2-normalised embeddings, float32, shape (N, D).
        attributes: attribute probabilities, float32, shape (N, attributes), in [0, 1]; None from
            a model that answers none.
        schema: names the columns of `attributes`; given exactly when these are.
        model: fingerprint of the model; vectors of different models cannot be compared.
        flip: whether each crop was averaged with its mirror image.
    """

    crops: Crops
    vectors: NDArray[np.float32]
    attributes: NDArray[np.float32] | None = None
    schema: Schema | None = None
    model: str = ""
    flip: bool = False

    def __post_init__(self) -> None:
        count = len(self.crops)
        if self.vectors.ndim != 2 or len(self.vectors) != count:
            raise ValueError(f"vectors must have shape ({count}, D)")
        if self.vectors.dtype != np.float32:
            raise ValueError("vectors must be float32")
        if (self.attributes is None) != (self.schema is None):
            raise ValueError("attributes and schema come together")
        if self.attributes is not None and self.schema is not None:
            if self.attributes.shape != (count, len(self.schema)):
                raise ValueError(f"attributes must have shape ({count}, {len(self.schema)})")
            if self.attributes.dtype != np.float32:
                raise ValueError("attributes must be float32")

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def known_attributes(self) -> NDArray[np.float32]:
        """The attribute probabilities.

        Raises:
            InputError: the model answers none.
        """
        if self.attributes is None:
            raise InputError(
                "The model was not trained on attributes, so it answers none: choose one that was."
            )
        return self.attributes

    def of_rows(self, rows: NDArray[Any] | slice) -> Self:
        """Return the embeddings of the given rows: indices, a slice or a mask of shape (N,)."""
        return replace(
            self,
            crops=self.crops[rows],
            vectors=self.vectors[rows],
            attributes=None if self.attributes is None else self.attributes[rows],
        )

    def pool(self, by: str = "track") -> Self:
        """Average crops that belong together: one row for each track, person or camera.

        Vectors are averaged and normalised again, probabilities averaged. A track is counted by
        its dataset, source and camera too, a person and a camera by their dataset.

        Args:
            by: name of a text column.

        Returns:
            One row for each value, in the order of their first crops; crops without a value stay
            as they are. Of the columns a row keeps what all its crops agree on; its path is that
            of the first; labels are the means of those that are known.

        Raises:
            InputError: there is no such column, or it is unknown for all crops.
        """
        if by not in COLUMNS or COLUMNS[by].kind.name != "text":
            texts = [name for name, column in COLUMNS.items() if column.kind.name == "text"]
            raise InputError(f"`by` is {by!r}: choose from {', '.join(texts)}.")
        if by not in self.crops.columns:
            raise InputError(f"These crops have no {by}, so they cannot be pooled by it.")
        groups = self._groups(by)
        first = np.unique(groups, return_index=True)[1]
        counts = np.bincount(groups)

        def mean(values: NDArray[np.float32]) -> NDArray[np.float64]:
            sums = np.zeros((len(counts), values.shape[1]))
            np.add.at(sums, groups, values)
            return sums / counts[:, None]

        vectors = mean(self.vectors)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return replace(
            self,
            crops=self._pooled_crops(groups, first),
            vectors=vectors.astype(np.float32),
            attributes=None
            if self.attributes is None
            else np.minimum(mean(self.attributes), 1).astype(np.float32),
        )

    def _groups(self, by: str) -> NDArray[np.int64]:
        """Number the groups from 0 on, in the order of their first crops."""
        columns = self.crops.columns
        within = {"track": ("dataset", "source", "camera")}.get(by, ("dataset",))
        keys = [columns[name] for name in within if name in columns and name != by]
        codes = np.stack([np.unique(k, return_inverse=True)[1] for k in (*keys, columns[by])], 1)
        unknown = columns[by] == ""
        alone = np.where(unknown, np.arange(1, len(self) + 1), 0)
        _, first, which = np.unique(
            np.column_stack([codes, alone]), axis=0, return_index=True, return_inverse=True
        )
        order = np.argsort(np.argsort(first))
        found: NDArray[np.int64] = order[which.ravel()]
        return found

    def _pooled_crops(self, groups: NDArray[np.int64], first: NDArray[np.int64]) -> Crops:
        crops = self.crops
        changes: dict[str, Any] = {}
        for name, values in crops.columns.items():
            kind = COLUMNS[name].kind
            differs = np.zeros(len(first), np.bool_)
            unlike = values != values[first][groups]
            differs[groups[unlike.any(axis=1) if unlike.ndim > 1 else unlike]] = True
            kept = values[first].copy()
            if differs.any():
                kept[differs] = kind.array([None], 1)[0]
            changes[name] = kept
        if crops.labels is not None:
            known = ~np.isnan(crops.labels)
            sums, counts = np.zeros((2, len(first), crops.labels.shape[1]))
            np.add.at(sums, groups, np.where(known, crops.labels, 0))
            np.add.at(counts, groups, known)
            changes["labels"] = np.divide(
                sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0
            )
        return crops[first].replace(**changes)

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame: path, the known columns, `p(ATTRIBUTE)` and vectors.

        Raises:
            InputError: pandas is not installed.
        """
        frame = crops_frame(self.crops)
        if self.attributes is not None and self.schema is not None:
            for name, values in zip(self.schema.names, self.attributes.T, strict=True):
                frame[f"p({name})"] = values
        frame["embedding"] = list(self.vectors)
        return frame


def crops_frame(crops: Crops) -> "pd.DataFrame":
    """Return crops as a pandas DataFrame: path, the known columns, and labels by attribute.

    Raises:
        InputError: pandas is not installed.
    """
    pandas = import_pandas()
    values: dict[str, Any] = {"path": [str(path) for path in crops.paths]}
    for name, column in crops.columns.items():
        values[name] = [COLUMNS[name].kind.to_python(value) for value in column]
    if crops.labels is not None and crops.schema is not None:
        values |= dict(zip(crops.schema.names, crops.labels.T, strict=True))
    return pandas.DataFrame(values)


def import_pandas() -> Any:
    """Return pandas.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise InputError(
            "A DataFrame needs pandas, which is not installed: pip install pandas."
        ) from None
    return pandas

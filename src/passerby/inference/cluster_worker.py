"""What a worker of a cluster does, in a process of its own, perhaps on another machine."""

import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.errors import InputError
from passerby.inference.runtime_model import EmbeddedBatch, RuntimeModel

Step = Callable[[RuntimeModel, Crops], dict[str, pa.Array]]
"""What is done with some crops: name of a column to a value for each; `BROKEN` is one of them."""

ROW, BROKEN, REFUSED, UNSEEN = "row", "broken", "refused", "unseen"
"""Columns of what a worker returns: the crop's place; what is wrong with its file; why nothing was
done; whether a file is not there for another machine than the one where the command runs."""


@dataclass(frozen=True)
class Order:
    """What a worker needs to begin.

    Attributes:
        files: of the model, by name.
        backend, device, threads: what runs the model there.
        step: what is done with crops.
        version: of Passerby.
        home: name of the machine where the command runs.
    """

    files: dict[str, bytes]
    backend: str
    device: str
    threads: int | None
    step: Step
    version: str
    home: str


class Worker:
    """Does the step of an order, with a copy of the model.

    Ray passes on of an error only its text within others: what is refused is returned instead.

    Args:
        order: an `Order`, which Ray keeps.
    """

    def __init__(self, order: Any) -> None:
        import ray

        self._order: Order = ray.get(order)
        self._host = socket.gethostname()
        self._model: RuntimeModel | None = None
        self._refusal = ""
        try:
            self._model = self._loaded()
        except InputError as error:
            self._refusal = self._said(str(error))

    def _loaded(self) -> RuntimeModel:
        if (mine := version("passerby")) != self._order.version:
            raise InputError(
                f"Passerby {mine} is installed on {self._host}, {self._order.version} on "
                f"{self._order.home}: install the same everywhere."
            )
        with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
            for name, content in self._order.files.items():
                (Path(folder) / name).write_bytes(content)
            return RuntimeModel.load(
                folder,
                self._order.threads,
                backend=self._order.backend,
                device=self._order.device,
            )

    def __call__(self, rows: pa.Table) -> pa.Table:
        if self._model is None:
            return self._refused(rows, self._refusal)
        crops = crops_of(rows)
        try:
            columns = self._order.step(self._model, crops)
        except InputError as error:
            return self._refused(rows, self._said(str(error)))
        unseen = np.zeros(len(crops), np.bool_)
        if self._host != self._order.home:
            told = texts_of(columns[BROKEN])
            unseen[:] = [
                said is not None and not path.exists()
                for said, path in zip(told, crops.paths, strict=True)
            ]
            columns[BROKEN] = text_column([said and self._said(said) for said in told])
        return pa.table({ROW: rows.column(ROW), UNSEEN: pa.array(unseen), **columns})

    def _refused(self, rows: pa.Table, why: str) -> pa.Table:
        return pa.table({ROW: rows.column(ROW), REFUSED: pa.array([why] * len(rows))})

    def _said(self, sentence: str) -> str:
        return sentence if self._host == self._order.home else f"{sentence} So {self._host} says."


def table_of(crops: Crops) -> pa.Table:
    """Return what workers are told of crops."""
    box = np.zeros((len(crops), 4), np.int64) if crops.box is None else crops.box.astype(np.int64)
    return pa.table(
        {
            ROW: np.arange(len(crops)),
            # any file name, also one that is no UTF-8
            "path": [os.fsencode(path.absolute()) for path in crops.paths],
            "box": pa.FixedSizeListArray.from_arrays(pa.array(box.reshape(-1)), 4),
        }
    )


def crops_of(rows: pa.Table) -> Crops:
    """Return the crops of some rows of `table_of`."""
    paths = [os.fsdecode(path) for path in rows.column("path").to_pylist()]
    box = rows.column("box").combine_chunks().flatten().to_numpy().reshape(-1, 4)
    return Crops(paths, box=box if box.any() else None)


def embed_step(
    model: RuntimeModel, crops: Crops, *, flip: bool, batch_size: int
) -> dict[str, pa.Array]:
    """Embed crops; a `Step`."""
    broken: list[str | None] = []
    suspicions: list[str | None] = []
    vectors, attributes = [], []
    for batch in model.embed_batches(crops, flip=flip, batch_size=batch_size):
        vectors.append(_with_zeros(batch.vectors, batch))
        if batch.attributes is not None:
            attributes.append(_with_zeros(batch.attributes, batch))
        for row in range(batch.count):
            broken.append(str(batch.broken[row]) if row in batch.broken else None)
            suspicions.append(batch.suspicions.get(row))
    columns = {
        BROKEN: text_column(broken),
        "suspicion": pa.array(suspicions, pa.string()),
        "vector": number_column(np.concatenate(vectors)),
    }
    if attributes:
        columns["attributes"] = number_column(np.concatenate(attributes))
    return columns


def _with_zeros(found: NDArray[np.float32], batch: EmbeddedBatch) -> NDArray[np.float32]:
    """Return a row for each crop, of zeros for those that are broken."""
    rows = np.zeros((batch.count, found.shape[1]), np.float32)
    rows[batch.rows] = found
    return rows


def number_column(numbers: NDArray[np.float32]) -> pa.Array:
    """Return float32 numbers, shape (N, D), as a column."""
    flat = pa.array(np.ascontiguousarray(numbers).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, numbers.shape[1])


def numbers_of(column: pa.ChunkedArray, size: int) -> NDArray[np.float32]:
    """Return what `number_column` made a column of, shape (N, size)."""
    found: NDArray[np.float32] = column.combine_chunks().flatten().to_numpy().reshape(-1, size)
    return found


def text_column(texts: list[str | None]) -> pa.Array:
    """Return texts as a column; names of files in them may be no UTF-8."""
    kept = [text and text.encode("utf-8", "surrogateescape") for text in texts]
    return pa.array(kept, pa.binary())


def texts_of(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Return what `text_column` made a column of."""
    return [text and text.decode("utf-8", "surrogateescape") for text in column.to_pylist()]

"""Embeddings on disk: a folder that is opened without reading it whole."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from passerby.errors import InputError
from passerby.inference.crops_file import read_crops_file
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_info import SchemaField

INFO_NAME = "embeddings.json"
VECTORS_NAME = "vectors.npy"
ATTRIBUTES_NAME = "attributes.npy"
CROPS_NAME = "crops.csv"


class StoreInfo(BaseModel):
    """The content of `embeddings.json`.

    Attributes:
        format: version of this layout.
        model: fingerprint of the model; vectors of different models cannot be compared.
        model_name: its name, for people.
        schema_: what the columns of the attributes mean; in the file "schema"; None without any.
        rows: number of crops.
        embedding_size: length of an embedding.
        flip: whether mirror images were averaged in.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True
    )

    format: Literal[2] = 2
    model: str
    model_name: str
    schema_: SchemaField = Field(None, alias="schema")
    rows: int = Field(ge=1)
    embedding_size: int = Field(ge=1, le=1_000_000)
    flip: bool


def is_embeddings(folder: Path | str) -> bool:
    """Tell whether a folder holds embeddings."""
    return (Path(folder) / INFO_NAME).is_file()


def read_embeddings(folder: Path | str) -> Embeddings:
    """Open embeddings that `embed_to_folder` wrote.

    Args:
        folder: holds `embeddings.json`, `vectors.npy`, `crops.csv` and, from a model with
            attributes, `attributes.npy`.

    Returns:
        Embeddings whose `vectors` and `attributes` are read-only memory maps: what is not looked
        at is not read. The crops have absolute paths and no labels.

    Raises:
        InputError: the folder holds no embeddings, or they are damaged or of another version.
    """
    folder = Path(folder)
    info = _read_info(folder)
    crops = read_crops_file(folder / CROPS_NAME)
    if len(crops) != info.rows:
        raise _damaged(folder / CROPS_NAME, f"{len(crops)} rows instead of {info.rows}")
    vectors = _open_rows(folder / VECTORS_NAME, (info.rows, info.embedding_size))
    schema, attributes = info.schema_, None
    if schema is not None:
        attributes = _open_rows(folder / ATTRIBUTES_NAME, (info.rows, len(schema)))
    return Embeddings(crops, vectors, attributes, schema, info.model, info.flip)


def _read_info(folder: Path) -> StoreInfo:
    path = folder / INFO_NAME
    try:
        return StoreInfo.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} holds no embeddings: it has no {INFO_NAME}; embed crops into it."
        ) from None
    except InputError as error:
        raise _damaged(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _damaged(path, f"{key}: {first['msg']}") from None


def _open_rows(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    try:
        rows: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: embed the crops again.") from None
    except Exception as error:
        # NumPy raises ValueError, EOFError, tokenize's errors, … on broken headers.
        raise _damaged(path, str(error)) from error
    if not isinstance(rows, np.memmap) or rows.dtype != np.float32 or rows.shape != shape:
        raise _damaged(path, f"it is not an array of {shape[0]}×{shape[1]} float32 numbers")
    return rows


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged or of another version ({why}): embed the crops again.")

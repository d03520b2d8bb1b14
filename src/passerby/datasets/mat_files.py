"""Reading the .mat files that annotations come in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from passerby.errors import InputError


def load_mat(path: Path, fields: Sequence[str]) -> dict[str, Any]:
    """Return fields of a .mat file (version 5) as nested lists and dicts.

    Raises:
        InputError: it cannot be read, or lacks a field.
    """
    from mat4py import loadmat

    try:
        content = loadmat(str(path))
    except OSError:
        raise
    except Exception as error:
        # mat4py raises whatever a broken byte leads to: struct.error, zlib.error, ValueError, …
        raise InputError(
            f"{path} is not a whole .mat file ({type(error).__name__}): get the file again."
        ) from error
    for name in fields:
        if name not in content:
            raise InputError(f"{path} has no field {name!r}: get the file again.")
    return {name: content[name] for name in fields}


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts of nested cells, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)

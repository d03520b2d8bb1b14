"""An .npy file that grows row by row."""

import os
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class RowFile:
    """Appends rows of float32 to an .npy file whose final length is not known yet.

    Rows are written, not mapped: where the disk is full a write raises, a memory map kills the
    process.
    """

    def __init__(self, path: Path, width: int, rows: int = 0) -> None:
        """Open a file, or make it, and cut off whatever follows its first rows.

        Args:
            path: the file.
            width: numbers in each row.
            rows: how many rows to keep, no more than the file has.
        """
        self._width = width
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(size_of(rows, width))
        self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.float32]) -> None:
        """Append rows, shape (n, width)."""
        self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())

    def sync(self) -> None:
        """Return when everything appended is safely on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


def write_length(path: Path, width: int, rows: int) -> None:
    """Say at the beginning of a file how many rows it holds; NumPy can read it from then on."""
    with path.open("r+b") as file:
        file.write(_header(rows, width))
        file.flush()
        os.fsync(file.fileno())


def size_of(rows: int, width: int) -> int:
    """Return the size in bytes of a file with so many rows."""
    return len(_header(rows, width)) + 4 * rows * width


def _header(rows: int, width: int) -> bytes:
    """Return the .npy header, equally long whatever the number of rows: NumPy leaves room."""
    header = BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    npy.write_array_header_1_0(header, shape)
    return header.getvalue()

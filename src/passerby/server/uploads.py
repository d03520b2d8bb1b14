"""Uploaded images on their way in: counted, measured and decoded; their names are never paths."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.adding import PreparedCrop
from passerby.server.limits import Limits

_DECODED_AT_ONCE = 2
"""Images: decoded, one of 50 million pixels takes 0.2 GB of memory and more."""

_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
"""Of JPEG, PNG, WebP, BMP and TIFF files: the decoder knows many more, and some run programs."""

_LONGEST_NAME = 80


class Uploads:
    """Makes uploads ready for the model.

    Args:
        gallery: they are for.
        limits: of their size and number.
    """

    def __init__(self, gallery: Gallery, limits: Limits) -> None:
        self._gallery = gallery
        self._limits = limits
        self._turns = threading.BoundedSemaphore(_DECODED_AT_ONCE)

    def prepare(
        self,
        uploads: Sequence[UploadFile],
        most: int,
        known: Mapping[str, Any] | None = None,
    ) -> list[PreparedCrop]:
        """Decode uploads.

        Args:
            uploads: the files; those that a form left empty are passed over.
            most: how many are allowed.
            known: name of a column to what is known of all of them.

        Raises:
            InputError: there are too many, or one cannot be decoded.
            HTTPException: one is too large.
        """
        given = [upload for upload in uploads if upload.filename or upload.size]
        if len(given) > most:
            raise InputError(f"{len(given)} images are sent, {most} are allowed: send fewer.")
        return [self._prepared(upload, known or {}) for upload in given]

    def _prepared(self, upload: UploadFile, known: Mapping[str, Any]) -> PreparedCrop:
        name = display_name(upload.filename)
        if (upload.size or 0) > self._limits.image_bytes:
            raise HTTPException(
                413,
                f"{name} is larger than {self._limits.image_bytes / 1e6:g} MB: "
                "cut out the pedestrian first.",
            )
        upload.file.seek(0)
        content = upload.file.read(self._limits.image_bytes)
        if content and not content.startswith(_BEGINNINGS):
            raise InputError(f"{name} is not an image: send JPEG, PNG, WebP, BMP or TIFF.")
        with self._turns:
            # a client's names are for messages, and no places on this machine
            return self._gallery.prepare(content, Path(name), known, keeps_path=False)


def display_name(name: str | None) -> str:
    """Return what an uploaded file is called in messages: no folders, no control characters."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable[-_LONGEST_NAME:].strip(". ") or "image"

"""Uploaded images on their way in: counted, measured and decoded; their names are never paths."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from passerby.data.decoding import cut_box, decode_bytes
from passerby.data.suspicions import describe_suspicions, find_suspicion
from passerby.errors import InputError
from passerby.gallery import Gallery
from passerby.gallery.preparing import PreparedCrop, prepare_crop
from passerby.server.limits import Limits

_DECODED_AT_ONCE = 2
"""Images: decoded, one of 50 million pixels takes 0.2 GB of memory and more."""

_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
"""Of JPEG, PNG, WebP, BMP and TIFF files: the decoder knows many more, and some run programs."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class PreparedUploads:
    """Uploads that are ready for the model.

    Attributes:
        crops: one for each upload.
        remarks: what does not look like a crop of one pedestrian, in sentences.
    """

    crops: Sequence[PreparedCrop]
    remarks: list[str]


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
        self, uploads: Sequence[UploadFile], most: int, known: Mapping[str, Any] | None = None
    ) -> PreparedUploads:
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
        crops: list[PreparedCrop] = []
        suspicions: list[tuple[str, str]] = []
        for upload in given:
            crop, suspicion = self._prepared(upload, known or {})
            crops.append(crop)
            if suspicion is not None:
                suspicions.append((str(crop.path), suspicion))
        return PreparedUploads(crops, describe_suspicions(suspicions, len(crops)))

    def _prepared(
        self, upload: UploadFile, known: Mapping[str, Any]
    ) -> tuple[PreparedCrop, str | None]:
        """Return a crop, and what looks wrong with it; see `find_suspicion`."""
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
            pixels = decode_bytes(content, name)
            # a client's names are for messages, and no places on this machine
            crop = prepare_crop(
                content,
                Path(name),
                known,
                self._gallery.settings,
                keeps_path=False,
                image=pixels,
            )
            box = known.get("box")
            return crop, find_suspicion(pixels if box is None else cut_box(pixels, box, name))


def display_name(name: str | None) -> str:
    """Return what an uploaded file is called in messages: no folders, no control characters."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable[-_LONGEST_NAME:].strip(". ") or "image"

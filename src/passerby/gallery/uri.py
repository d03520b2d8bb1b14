"""Where a gallery lies: a folder of this machine, or a place in an object store."""

import re
from pathlib import Path

from passerby.data.columns import is_text
from passerby.errors import InputError

SCHEMES = ("s3", "gs", "az")

_SCHEME = re.compile(r"\s*(?P<scheme>[a-z][a-z0-9+.-]+):/", re.IGNORECASE)
_PLACE = re.compile(rf"({'|'.join(SCHEMES)})://[\w.-]+(/[^/?#]+)+/?", re.IGNORECASE)


def scheme_of(where: str) -> str | None:
    """Return the scheme of a URI, in small letters; None for a folder."""
    match = _SCHEME.match(where)
    return None if match is None else match["scheme"].lower()


def folder_of(where: str) -> Path | None:
    """Return where a gallery on this machine lies; None for one in an object store.

    Raises:
        InputError: it is a URI of another sort, names no place, or holds what is not a letter.
    """
    if not is_text(where) or not where.isprintable():
        raise InputError(f"{where!r} is not a name for a gallery: write it in letters, in UTF-8.")
    scheme = scheme_of(where)
    if scheme is None:
        return Path(where)
    if scheme not in SCHEMES:
        raise InputError(
            f"{where} is not a place for a gallery: give a folder, or a URI that begins with "
            f"{', '.join(f'{known}://' for known in SCHEMES)}."
        )
    if not _PLACE.fullmatch(where):
        raise InputError(
            f"{where} names no place for a gallery: write it like {scheme}://bucket/name."
        )
    return None

"""The database's errors in plain words; it has no exceptions of its own, so they are read."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from passerby.errors import InputError
from passerby.files import explain
from passerby.gallery.uri import scheme_of

_CONFLICT = re.compile("commit conflict|concurrent writers|incompatible transaction", re.IGNORECASE)
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")

_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The environment variables that hold credentials, by the scheme of a URI."""

_LONGEST = 200

_REMOTE = (
    # the first that is found counts
    (r"NoSuchBucket|bucket does not exist", "there is no such bucket: make it, or fix its name"),
    (r"credentials|TokenRequest|storage account", "it asks for credentials: set {keys}"),
    (
        r"status( code)?: 40[13]",
        "access is refused: look at {keys}, and at what they allow",
    ),
    (r"status( code)?: 5\d\d", "the object store fails: try again later"),
    (
        r"resolve region|Connect|dns error|timed out",
        "the object store cannot be reached: look at the network, the bucket's name, its region "
        "and its address",
    ),
)


@contextmanager
def plain_words(where: str, doing: str) -> Iterator[None]:
    """Turn the database's errors into sentences.

    Args:
        where: the gallery, a folder or a URI.
        doing: what is done with it: "make", "open", "read" or "write to".

    Raises:
        InputError: a user can fix it.
    """
    try:
        yield
    except InputError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        raise _sentence(error, where, doing) or error from error


def _sentence(error: Exception, where: str, doing: str) -> InputError | None:
    text = str(error)
    if _CONFLICT.search(text):
        return InputError(
            f"Others change {where} all the time: run the command again when it is quieter."
        )
    scheme = scheme_of(where)
    if scheme is not None:
        return _remote(text, where, doing, _KEYS[scheme])
    code = error.errno if isinstance(error, OSError) else None
    if code is None and (match := _SYSTEM_ERROR.search(text)):
        code = int(match[1])
    if code is None and "No space left" in text:
        code = errno.ENOSPC
    if code is not None:
        return explain(OSError(code, os.strerror(code)), where) or InputError(
            f"Cannot {doing} {where}: {os.strerror(code)}."
        )
    if doing == "read" or "LanceError" in text or "lance error" in text:
        return _damaged(where, doing)
    return None


def _remote(text: str, where: str, doing: str, keys: str) -> InputError:
    for pattern, remedy in _REMOTE:
        if re.search(pattern, text):
            return InputError(f"Cannot {doing} {where}: {remedy.format(keys=keys)}.")
    if doing != "make" and re.search("not found|NotFound|corrupt", text):
        return _damaged(where, doing)
    return InputError(
        f"Cannot {doing} {where}: look at the URI and at the object store, of which the database "
        f"says: {' '.join(text.split())[:_LONGEST]}"
    )


def _damaged(where: str, doing: str) -> InputError:
    if doing == "open":
        return InputError(
            f"Cannot open {where}: a file is damaged or missing without which nothing can be "
            "read: bring it back from a copy, or make a new gallery and add the crops again."
        )
    return InputError(
        f"Cannot {doing} {where}: a file of it is damaged or missing: "
        f"`passerby gallery repair {where}` keeps what can still be read."
    )

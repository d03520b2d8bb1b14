"""Writing files and folders so that nothing half-written is ever left behind."""

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passerby.errors import InputError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the command again",
    errno.EROFS: "the disk is read-only: choose another place",
    errno.EACCES: "permission denied: choose a place that you may write to",
    errno.EPERM: "permission denied: choose a place that you may write to",
    errno.ENOENT: "there is no such folder and none can be made: choose another place",
    errno.EISDIR: "a folder of that name exists: choose another name",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another place",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success.

    Whatever the body writes there, a file or a folder, appears under its final name at once,
    or, when the body raises, not at all. A folder replaces an existing one.

    Args:
        target: the final path; missing parent folders are made, a link is followed.

    Raises:
        InputError: the place cannot be written to (full disk, no permission, ...).
    """
    target = _resolved(target)
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise InputError(f"{target} is neither a file nor a folder: choose another place.")
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with explained(target):
            draft = workplace / target.name
            yield draft
            _put_in_place(draft, target, workplace / "previous")
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _put_in_place(draft: Path, target: Path, previous: Path) -> None:
    """Rename the draft; a folder that it replaces comes back if that fails."""
    replaced = draft.is_dir() and target.is_dir()
    if replaced:
        target.rename(previous)
    try:
        draft.replace(target)
    except BaseException:
        if replaced:
            previous.rename(target)
        raise


def _resolved(target: Path) -> Path:
    try:
        return target.resolve()
    except (OSError, RuntimeError):
        raise InputError(f"{target} is a link to itself: choose another place.") from None


def check_writable(target: Path) -> None:
    """Check that `target` can be written to, before the work whose result it is to hold.

    Raises:
        InputError: it cannot.
    """
    target = _resolved(target)
    if target.is_dir():
        raise InputError(f"{target} is a folder: give the name of a file.")
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` in UTF-8, whole or not at all."""
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(target: Path, value: Any) -> None:
    """Write `value` to `target` as indented JSON, whole or not at all."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def explain(error: OSError, where: Path | str | None = None) -> InputError | None:
    """Return the sentence for an operating-system error that the user can mend, else None."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    if where is None:
        return InputError(f"Cannot use {error.filename or Path.cwd()}: {remedy}.")
    return InputError(f"Cannot write to {where}: {remedy}.")


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn the body's operating-system errors that the user can mend into sentences.

    Raises:
        InputError: `target` cannot be written to (full disk, no permission, ...).
    """
    try:
        yield
    except OSError as error:
        raise (explain(error, target) or error) from error

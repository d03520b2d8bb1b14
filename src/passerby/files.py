"""Writing files and folders so that nothing half-written is ever left behind."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from passerby.errors import InputError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the command again",
    errno.EROFS: "the disk is read-only: choose another place",
    errno.EFBIG: "a file would become larger than allowed: raise the limit (ulimit -f)",
    errno.EACCES: "permission denied: choose another place, or change who may use this one",
    errno.EPERM: "permission denied: choose another place, or change who may use this one",
    errno.ELOOP: "a link leads to itself: choose another place",
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
    with explain_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with explain_errors(target):
            draft = workplace / target.name
            yield draft
            _put_in_place(draft, target, workplace / "previous")
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


@contextmanager
def exclusive_lock(lock: Path, refusal: str) -> Iterator[None]:
    """Keep a second process from doing the same at the same time.

    Args:
        lock: a file that exists meanwhile, in a folder that exists.
        refusal: the beginning of a sentence on what the other process is doing.

    Raises:
        InputError: another process does it, or the file cannot be made.
    """
    from filelock import FileLock, Timeout  # few commands need it

    held = FileLock(lock, blocking=False)
    try:
        with explain_errors(lock):
            held.acquire()
    except Timeout:
        raise InputError(f"{refusal}: wait for it, or choose another place.") from None
    try:
        yield
    finally:
        # before it is released; filelock takes no file that has gone meanwhile
        with suppress(OSError):
            lock.unlink()
        held.release()


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
    with explain_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def check_no_input(target: Path, inputs: Iterable[Path]) -> None:
    """Check that a result does not take the place of what it is made from.

    Args:
        target: where the result goes.
        inputs: files.

    Raises:
        InputError: the target is one of them.
    """
    if target.exists() and any(path.exists() and target.samefile(path) for path in inputs):
        raise InputError(f"{target} is one of the inputs: choose another place.")


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` in UTF-8, whole or not at all."""
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(target: Path, value: Any) -> None:
    """Write `value` to `target` as indented JSON, whole or not at all."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def explain(error: OSError, where: Path | str | None = None) -> InputError | None:
    """Return the sentence for an operating-system error that the user can fix, else None."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    if where is None:
        # what is printed has no name, nor has a current folder that is gone
        nameless = "the current folder" if error.errno == errno.ENOENT else "the output"
        name = nameless if error.filename is None else os.fsdecode(error.filename)
        return InputError(f"Cannot use {name}: {remedy}.")
    return InputError(f"Cannot write to {where}: {remedy}.")


@contextmanager
def explain_errors(target: Path) -> Iterator[None]:
    """Turn the body's operating-system errors that the user can fix into sentences.

    Raises:
        InputError: `target` cannot be written to (full disk, no permission, ...).
    """
    try:
        yield
    except OSError as error:
        raise (explain(error, target) or error) from error

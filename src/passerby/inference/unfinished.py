"""Embeddings that are being written, and how much of them is safely on the disk."""

import hashlib
import json
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from passerby.data.crops import Crops
from passerby.files import replacing, write_json
from passerby.inference.crops_file import write_crops_file
from passerby.inference.embedding_store import (
    ATTRIBUTES_NAME,
    CROPS_NAME,
    INFO_NAME,
    VECTORS_NAME,
    StoreInfo,
)
from passerby.inference.model_info import ModelInfo
from passerby.inference.row_file import RowFile, size_of, write_length
from passerby.inference.runtime_model import EmbeddedBatch

PROGRESS_NAME = "progress.json"

SAVE_SECONDS = 2.0
"""A kill or a power cut loses no more work than this."""


@dataclass(frozen=True)
class _State:
    """How far the work is.

    Attributes:
        done: crops that are done, broken ones included.
        broken: positions of those that could not be decoded, with what is wrong.
        work: a running SHA-256 of the model, the way it is used, and the crops that are done.
    """

    done: int
    broken: dict[int, str]
    work: Any

    @property
    def rows(self) -> int:
        return self.done - len(self.broken)


class Unfinished:
    """A folder of embeddings that grows batch by batch and survives interruptions.

    The last whole state of an interrupted run is kept when the context is left, unless there is
    nothing worth keeping.
    """

    def __init__(self, folder: Path, crops: Crops, model: ModelInfo, flip: bool) -> None:
        """Go on where the folder stopped, or start anew if it was made of something else."""
        self._folder = folder
        self._crops = crops
        self._model = model
        self._flip = flip
        self._widths = {VECTORS_NAME: model.embedding_size}
        if model.schema_ is not None:
            self._widths[ATTRIBUTES_NAME] = len(model.schema_)
        self._state = self._saved_state() or self._emptied()
        self._saved_at = time.monotonic()
        with ExitStack() as files:
            self._rows = {
                name: files.enter_context(RowFile(folder / name, width, self.rows))
                for name, width in self._widths.items()
            }
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with self._files:
                if self.rows:
                    self.save()
        finally:
            if not (self._folder / PROGRESS_NAME).exists():
                shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def done(self) -> int:
        """Crops that are done, broken ones included."""
        return self._state.done

    @property
    def rows(self) -> int:
        """Crops that are embedded."""
        return self._state.rows

    @property
    def broken(self) -> list[str]:
        """What is wrong with each crop that could not be decoded."""
        return list(self._state.broken.values())

    def add(self, batch: EmbeddedBatch) -> None:
        """Append the answers for the crops that follow those that are done."""
        start = self.done
        stop = start + batch.count
        self._rows[VECTORS_NAME].append(batch.vectors)
        if batch.attributes is not None:
            self._rows[ATTRIBUTES_NAME].append(batch.attributes)
        broken = {start + row: str(error) for row, error in batch.broken.items()}
        work = self._state.work.copy()
        _add_crops(work, self._crops[start:stop])
        # one assignment, so that an interruption finds the old state or the new one
        self._state = _State(stop, self._state.broken | broken, work)
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Bring everything added to the disk, then say so in the progress file."""
        for rows in self._rows.values():
            rows.sync()
        state = self._state
        broken = [[row, sentence] for row, sentence in state.broken.items()]
        progress = {"work": state.work.hexdigest(), "done": state.done, "broken": broken}
        write_json(self._folder / PROGRESS_NAME, progress)
        self._saved_at = time.monotonic()

    def publish(self, target: Path) -> None:
        """Turn the folder into finished embeddings and rename it; only once all crops are done."""
        for name, width in self._widths.items():
            write_length(self._folder / name, width, self.rows)
        kept = np.ones(len(self._crops), np.bool_)
        kept[list(self._state.broken)] = False
        write_crops_file(self._folder / CROPS_NAME, self._crops[kept])
        write_json(self._folder / INFO_NAME, self._info().model_dump(by_alias=True))
        with replacing(target) as draft:
            self._folder.rename(draft)
        # only now, so that a kill before the renaming loses nothing
        (target / PROGRESS_NAME).unlink()

    def _info(self) -> StoreInfo:
        return StoreInfo(
            model=self._model.vector_fingerprint,
            model_name=self._model.name,
            schema_=self._model.schema_,
            rows=self.rows,
            embedding_size=self._model.embedding_size,
            flip=self._flip,
        )

    def _emptied(self) -> _State:
        if self._folder.is_dir():
            shutil.rmtree(self._folder)
        self._folder.mkdir()
        return _State(0, {}, self._no_crops_yet())

    def _saved_state(self) -> _State | None:
        """Return the state of an interrupted run over the same beginning of the crops."""
        try:
            text = (self._folder / PROGRESS_NAME).read_text("utf-8", "surrogateescape")
            progress = json.loads(text)
            done = int(progress["done"])
            broken = {int(row): str(sentence) for row, sentence in progress["broken"]}
            fingerprint = progress["work"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        work = self._no_crops_yet()
        _add_crops(work, self._crops[:done])
        state = _State(done, broken, work)
        whole = 0 <= done <= len(self._crops) and all(0 <= row < done for row in broken)
        if whole and work.hexdigest() == fingerprint and self._holds(state.rows):
            return state
        return None

    def _holds(self, rows: int) -> bool:
        files = ((self._folder / name, width) for name, width in self._widths.items())
        return all(
            path.is_file() and path.stat().st_size >= size_of(rows, width) for path, width in files
        )

    def _no_crops_yet(self) -> Any:
        preprocessing = self._model.preprocessing.model_dump_json()
        key = (1, self._model.fingerprint, preprocessing, self._flip)
        return hashlib.sha256(repr(key).encode())


def _add_crops(work: Any, crops: Crops) -> None:
    """Add where the files are, how large, when they were changed, and boxes, to a hash."""
    for path, (name, box) in zip(crops.paths, crops.keys, strict=True):
        try:
            found = path.stat()
            version = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:
            version = "missing"
        work.update(os.fsencode(name) + f"\0{version} {box}\n".encode())

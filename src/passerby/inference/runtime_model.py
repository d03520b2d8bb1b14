"""A model file running on ONNX Runtime: pixels in, embeddings and attributes out; no torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import Pixels, decode_each
from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.inference.model_info import (
    ONNX_NAME,
    WEIGHTS_NAME,
    ModelInfo,
    Preprocessing,
    check_attributes,
    fingerprint_of,
    read_model_info,
)
from passerby.inference.model_location import find_model

# some builds would report to their maker how they are used
onnxruntime.disable_telemetry_events()

Progress = Callable[[int, int], None]
OnBroken = Callable[[InputError], None]
Answers = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Embeddings, shape (N, D), and attribute probabilities, shape (N, attributes)."""


@dataclass(frozen=True)
class EmbeddedBatch:
    """What a model answered for consecutive crops.

    Attributes:
        count: how many crops.
        rows: positions, among them, of the n crops that could be decoded, ascending.
        vectors: their embeddings, float32, shape (n, D).
        attributes: their attribute probabilities, float32, shape (n, attributes).
        broken: positions of the others, with what is wrong.
    """

    count: int
    rows: list[int]
    vectors: NDArray[np.float32]
    attributes: NDArray[np.float32]
    broken: dict[int, InputError]


class RuntimeModel:
    """A loaded model file.

    Attributes:
        info: the content of `model.json`.
    """

    def __init__(self, info: ModelInfo, session: onnxruntime.InferenceSession) -> None:
        self.info = info
        self._session = session

    @classmethod
    def load(cls, source: Path | str | None = None, threads: int | None = None) -> Self:
        """Load a model file.

        Args:
            source: a model file's folder, a finished run, or a Hub id; the model that ships with
                the package if left out.
            threads: CPU threads; all cores if left out.

        Raises:
            InputError: there is no model file, or it is damaged.
        """
        folder = find_model(source)
        info = read_model_info(folder)
        session = _open_session(folder / ONNX_NAME, info, threads)
        return cls(info, session)

    @property
    def schema(self) -> Schema:
        """What the attributes are."""
        return self.info.schema_

    def embed(
        self,
        crops: Crops,
        *,
        flip: bool = False,
        batch_size: int = 64,
        on_broken: OnBroken | None = None,
        progress: Progress | None = None,
    ) -> Embeddings:
        """Run the model over crops, decoding the next ones meanwhile.

        Args:
            crops: any crops, N of them.
            flip: look at each crop's mirror image too: the mean of both embeddings, normalised
                again, and the mean of both probabilities.
            batch_size: crops that the model sees at once, at least 1.
            on_broken: called with what is wrong with each crop that cannot be decoded; these
                crops are left out. If it is not given, the first one raises.
            progress: called with (crops done, all crops).

        Returns:
            One row for each crop that can be decoded, in their order.

        Raises:
            InputError: a crop cannot be decoded, or, with `on_broken`, none can.
        """
        count = len(crops)
        vectors = np.empty((count, self.info.embedding_size), np.float32)
        attributes = np.empty((count, len(self.schema)), np.float32)
        done, kept = 0, list[int]()
        for batch in self.embed_batches(crops.paths, flip=flip, batch_size=batch_size):
            report_broken(batch.broken.values(), on_broken)
            place = slice(len(kept), len(kept) + len(batch.rows))
            vectors[place], attributes[place] = batch.vectors, batch.attributes
            kept += [done + row for row in batch.rows]
            done += batch.count
            if progress:
                progress(done, count)
        check_some_readable(len(kept), count)
        if len(kept) < count:
            crops = crops[np.array(kept)]
            vectors, attributes = vectors[: len(kept)], attributes[: len(kept)]
        return Embeddings(crops, vectors, attributes, self.schema, self.info.fingerprint, flip)

    def embed_batches(
        self, paths: Sequence[Path], *, flip: bool = False, batch_size: int = 64
    ) -> Iterator[EmbeddedBatch]:
        """Do as `embed`, but yield the answers as they come.

        Raises:
            InputError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise InputError(f"The batch size is {batch_size}: give 1 or more.")
        # the next whole batch is ready when the model has finished this one
        ahead = max(128, 2 * batch_size)
        images = decode_each(paths, self.info.preprocessing.size, ahead=ahead)
        while chunk := list(islice(images, batch_size)):
            broken = {row: i for row, i in enumerate(chunk) if isinstance(i, InputError)}
            rows = [row for row in range(len(chunk)) if row not in broken]
            good = [image for image in chunk if not isinstance(image, InputError)]
            vectors, attributes = self._run_all(good, flip)
            yield EmbeddedBatch(len(chunk), rows, vectors, attributes, broken)

    def _run_all(self, images: list[Pixels], flip: bool) -> Answers:
        if not images:
            return (
                np.empty((0, self.info.embedding_size), np.float32),
                np.empty((0, len(self.schema)), np.float32),
            )
        pixels = np.stack(images)
        return self.run_flipped(pixels) if flip else self.run(pixels)

    def predict_attributes(self, image: Path | str) -> dict[str, float]:
        """Return what the pedestrian on one image looks like.

        Returns:
            What each attribute means in plain English ("female", "red top") to its probability.

        Raises:
            InputError: the image cannot be decoded, or the model was not trained on attributes.
        """
        check_attributes(self.info)
        found = self.embed(Crops(paths=(Path(image),))).attributes[0]
        return dict(zip(self.schema.words, found.tolist(), strict=True))

    def run(self, pixels: Pixels) -> Answers:
        """Run the model on decoded crops of the right size.

        Args:
            pixels: uint8, shape (N, height, width, 3), RGB.

        Returns:
            Embeddings, shape (N, D), and attribute probabilities, shape (N, attributes).
        """
        vectors, logits = self._session.run(
            ["embedding", "attributes"],
            {"crops": normalize_pixels(pixels, self.info.preprocessing)},
        )
        if not (np.isfinite(vectors).all() and np.isfinite(logits).all()):
            raise InputError("The model answers NaN: its weights or its model.json are damaged.")
        return vectors, sigmoid(logits)

    def run_flipped(self, pixels: Pixels) -> Answers:
        """Do as `run`, averaged over the crops and their mirror images."""
        vectors, attributes = self.run(pixels)
        mirrored_vectors, mirrored_attributes = self.run(pixels[:, :, ::-1])
        return normalize_rows(vectors + mirrored_vectors), (
            attributes + mirrored_attributes
        ) * np.float32(0.5)


def normalize_pixels(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Turn resized pixels into a model's input.

    Args:
        pixels: uint8, shape (N, height, width, 3).

    Returns:
        float32, shape (N, 3, height, width).
    """
    scale = (1 / (255 * np.array(preprocessing.std))).astype(np.float32)
    shift = (np.array(preprocessing.mean) / np.array(preprocessing.std)).astype(np.float32)
    return np.ascontiguousarray((pixels * scale - shift).transpose(0, 3, 1, 2))


def normalize_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors, shape (N, D), divided by their L2 norms; what is about zero stays so."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, np.float32(1e-12))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn attribute logits into probabilities, in [0, 1]."""
    # exp of minus the magnitude never overflows
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)


def report_broken(broken: Iterable[InputError], on_broken: OnBroken | None) -> None:
    """Report what is wrong with each broken crop, or raise the first."""
    for error in broken:
        if on_broken is None:
            raise error
        on_broken(error)


def check_some_readable(readable: int, count: int) -> None:
    """Check that not every crop was broken.

    Raises:
        InputError: every one of at least one crop was.
    """
    if count and not readable:
        raise InputError(f"None of the {count} crops can be decoded: give JPEG or PNG images.")


def _open_session(path: Path, info: ModelInfo, threads: int | None) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise InputError(f"{path.parent} is not a whole model file: {path.name} is missing.")
    if info.precision == "fp16" and not (path.parent / WEIGHTS_NAME).is_file():
        raise InputError(f"{path.parent} is not a whole model file: {WEIGHTS_NAME} is missing.")
    if fingerprint_of(path.parent, info.precision) != info.fingerprint:
        raise InputError(
            f"{path} is damaged or not the one that model.json describes: save the model again."
        )
    # read from memory, a file cannot refer to others
    network = path.read_bytes() if info.precision == "fp32" else str(path)
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: Sequence[str] = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(network, options, providers=list(providers))
    except Exception as error:
        # ONNX Runtime's exceptions share no public base class.
        raise InputError(
            f"{path} is damaged ({type(error).__name__}): save the model again."
        ) from error
    _check_fit(session, info, path)
    return session


def _check_fit(session: onnxruntime.InferenceSession, info: ModelInfo, path: Path) -> None:
    """Check that the network has the input and the outputs that `model.json` says."""
    expected = {
        "crops": [3, *info.preprocessing.size],
        "embedding": [info.embedding_size],
        "attributes": [len(info.attributes)],
    }
    found = {a.name: list(a.shape[1:]) for a in (*session.get_inputs(), *session.get_outputs())}
    for name, shape in expected.items():
        if found.get(name) != shape:
            raise InputError(
                f"{path}: {name} has the shape {found.get(name)}, but model.json says {shape}: "
                "save the model again."
            )

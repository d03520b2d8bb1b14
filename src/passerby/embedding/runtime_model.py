"""A model file running on ONNX Runtime: pixels in, embeddings and attributes out; no torch."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import Pixels, batches, decode_all
from passerby.data.schema import Schema
from passerby.embedding.embeddings import Embeddings
from passerby.embedding.model_info import ONNX_NAME, ModelInfo, Preprocessing, read_model_info
from passerby.embedding.model_location import find_model
from passerby.errors import InputError

Progress = Callable[[int, int], None]


class RuntimeModel:
    """A loaded model file.

    Attributes:
        info: the content of `model.json`.
    """

    def __init__(self, info: ModelInfo, session: onnxruntime.InferenceSession) -> None:
        self.info = info
        self._session = session

    @classmethod
    def load(cls, source: Path | str, threads: int | None = None) -> Self:
        """Load a model file.

        Args:
            source: a model file's folder, a finished run, or a Hub id.
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
        self, crops: Crops, *, batch_size: int = 64, progress: Progress | None = None
    ) -> Embeddings:
        """Run the model over crops, decoding the next ones meanwhile.

        Args:
            crops: any crops, N of them.
            batch_size: crops that the model sees at once.
            progress: called with (crops done, all crops).

        Raises:
            InputError: a crop cannot be decoded.
        """
        count = len(crops)
        vectors = np.empty((count, self.info.embedding_size), np.float32)
        attributes = np.empty((count, len(self.schema)), np.float32)
        images = decode_all(crops.paths, self.info.preprocessing.size)
        done = 0
        for pixels in batches(images, batch_size):
            rows = slice(done, done + len(pixels))
            vectors[rows], attributes[rows] = self.run(pixels)
            done += len(pixels)
            if progress:
                progress(done, count)
        return Embeddings(crops, vectors, attributes, self.schema, self.info.fingerprint)

    def describe(self, image: Path | str) -> dict[str, float]:
        """Return what the pedestrian on one image looks like.

        Returns:
            What each attribute means in plain English ("female", "red top") to its probability.

        Raises:
            InputError: the image cannot be decoded.
        """
        found = self.embed(Crops(paths=(Path(image),))).attributes[0]
        return dict(zip(self.schema.words, found.tolist(), strict=True))

    def run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the model on decoded crops of the right size.

        Args:
            pixels: uint8, shape (N, height, width, 3), RGB.

        Returns:
            Embeddings, shape (N, D), and attribute probabilities, shape (N, attributes).
        """
        vectors, logits = self._session.run(
            ["embedding", "attributes"], {"crops": normalised(pixels, self.info.preprocessing)}
        )
        if not (np.isfinite(vectors).all() and np.isfinite(logits).all()):
            raise InputError("The model answers NaN: its weights or its model.json are damaged.")
        return vectors, sigmoid(logits)


def normalised(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Turn resized pixels into a model's input.

    Args:
        pixels: uint8, shape (N, height, width, 3).

    Returns:
        float32, shape (N, 3, height, width).
    """
    scale = (1 / (255 * np.array(preprocessing.std))).astype(np.float32)
    shift = (np.array(preprocessing.mean) / np.array(preprocessing.std)).astype(np.float32)
    return np.ascontiguousarray((pixels * scale - shift).transpose(0, 3, 1, 2))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn attribute logits into probabilities, in [0, 1]."""
    # exp of minus the magnitude never overflows
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)


def _open_session(path: Path, info: ModelInfo, threads: int | None) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise InputError(f"{path.parent} is no whole model file: {path.name} is missing.")
    network = path.read_bytes()
    if hashlib.sha256(network).hexdigest() != info.fingerprint:
        raise InputError(
            f"{path} is damaged or not the one that model.json describes: save the model again."
        )
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

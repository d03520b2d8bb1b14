"""A model file running on a backend: pixels in, embeddings and attributes out; no torch."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import Pixels, check_pixels, load_crop, map_ahead, resize
from passerby.data.schema import Schema
from passerby.data.suspicions import describe_suspicions, find_suspicion
from passerby.errors import InputError
from passerby.inference.backends import Backend, Network, load_network
from passerby.inference.embeddings import Embeddings
from passerby.inference.leakage import SeenFiles, read_seen_files
from passerby.inference.model_info import (
    ONNX_NAME,
    WEIGHTS_NAME,
    ModelInfo,
    Preprocessing,
    check_attributes,
    check_file,
    read_model_info,
)
from passerby.inference.model_location import find_model

Progress = Callable[[int, int], None]
OnBroken = Callable[[InputError], None]
OnRemark = Callable[[str], None]
Image = Any
"""A path, a PIL image, or an array, uint8, shape (height, width, 3)."""

Answers = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Embeddings, shape (N, D), and attribute probabilities, shape (N, attributes), or None."""

_SAME = 1e-3
"""Embeddings that are all nearer than this are the same for every crop."""

_SAME_CROP = 0.985
"""Least cosine between embeddings of one crop that may be compared."""

_ENOUGH_TO_COMPARE = 20

_ROUNDING = 1e-5
"""Of the length 1 of an embedding in single precision."""


@dataclass(frozen=True)
class EmbeddedBatch:
    """What a model answered for consecutive crops.

    Attributes:
        count: how many crops.
        rows: positions, among them, of the n crops that could be decoded, ascending.
        vectors: their embeddings, float32, shape (n, D).
        attributes: their attribute probabilities, float32, shape (n, attributes), or None.
        broken: positions of the others, with what is wrong.
        suspicions: positions of crops that do not look like one, with a key of
            `passerby.data.suspicions.SUSPICIONS`.
    """

    count: int
    rows: list[int]
    vectors: NDArray[np.float32]
    attributes: NDArray[np.float32] | None
    broken: dict[int, InputError]
    suspicions: dict[int, str]


class RuntimeModel:
    """A loaded model file.

    Attributes:
        info: the content of `model.json`.
        folder: of the model file.
        backend: name of what runs the network.
        device: where, as the backend names it.
    """

    def __init__(
        self,
        info: ModelInfo,
        network: Backend,
        folder: Path,
        backend: str = "onnxruntime",
        device: str = "cpu",
    ) -> None:
        self.info = info
        self.folder = folder
        self.backend = backend
        self.device = device
        self._network = network
        self._outputs = ["embedding"] if info.schema_ is None else ["embedding", "attributes"]

    @classmethod
    def load(
        cls,
        source: Path | str | None = None,
        threads: int | None = None,
        *,
        backend: str = "onnxruntime",
        device: str = "cpu",
    ) -> Self:
        """Load a model file.

        Args:
            source: a model file's folder, a finished run, or a Hub id; the model that ships with
                the package if left out.
            threads: CPU threads; all cores if left out.
            backend: what runs the network: "onnxruntime"; "openvino", which needs the extra of
                that name; or one of `register_backend`. Vectors of one backend may be compared
                with those of another.
            device: as the backend names it: "cpu"; "cuda", "cuda:1", "coreml", …, where ONNX
                Runtime was built for them.

        Raises:
            InputError: the model file is missing or damaged, or the backend or device unknown.
        """
        folder = find_model(source)
        info = read_model_info(folder)
        path = folder / ONNX_NAME
        check_file(folder, ONNX_NAME, info)
        if info.precision == "fp16":
            check_file(folder, WEIGHTS_NAME, info)
        network = Network(path, info.precision != "fp16", device, threads)
        loaded = load_network(network, backend)
        _check_fit(loaded, info, path)
        model = cls(info, loaded, folder, backend, device)
        if info.drawn_answer:
            model._check_drawn_answer(path)
        return model

    def _check_drawn_answer(self, path: Path) -> None:
        """Check that this machine computes in 8 bits as the one where the model was exported."""
        from passerby.toy import toy_images  # takes a while that other models need not wait

        (answer,), _ = self.run(np.stack([resize(toy_images(1)[0], self.info.preprocessing.size)]))
        cosine = float(answer @ np.array(self.info.drawn_answer, np.float32))
        if not cosine >= _SAME_CROP:
            raise InputError(
                f"{path} answers otherwise here than where it was exported (a drawn crop with a "
                f"cosine of {cosine:.3f}): this machine computes otherwise in 8 bits, so export it "
                "here, or use half precision."
            )

    @property
    def schema(self) -> Schema | None:
        """What the attributes are; None if the model answers none."""
        return self.info.schema_

    @cached_property
    def seen(self) -> SeenFiles:
        """The files that the model learned from and was calibrated on.

        Raises:
            InputError: they are not those that `model.json` describes.
        """
        return read_seen_files(self.folder, self.info)

    def embed(
        self,
        crops: Crops,
        *,
        flip: bool = False,
        batch_size: int = 64,
        on_broken: OnBroken | None = None,
        on_remark: OnRemark | None = None,
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
            on_remark: told, at the end, which crops do not look like crops of one person, and
                whether the model answers the same for all.
            progress: called with (crops done, all crops).

        Returns:
            One row for each crop that can be decoded, in their order.

        Raises:
            InputError: a crop cannot be decoded, or, with `on_broken`, none can.
        """
        if not isinstance(crops, Crops):
            raise InputError("`embed` takes Crops: give images to `embed_images`.")
        count = len(crops)
        vectors = np.empty((count, self.info.embedding_size), np.float32)
        attributes = (
            None if self.schema is None else np.empty((count, len(self.schema)), np.float32)
        )
        done, kept = 0, list[int]()
        suspicions: list[tuple[str, str]] = []
        for batch in self.embed_batches(crops, flip=flip, batch_size=batch_size):
            report_broken(batch.broken.values(), on_broken)
            place = slice(len(kept), len(kept) + len(batch.rows))
            vectors[place] = batch.vectors
            if attributes is not None:
                attributes[place] = batch.attributes
            kept += [done + row for row in batch.rows]
            suspicions += [
                (crops.paths[done + row].name, kind) for row, kind in batch.suspicions.items()
            ]
            done += batch.count
            if progress:
                progress(done, count)
        check_some_readable(len(kept), count)
        if len(kept) < count:
            crops = crops[np.array(kept)]
            vectors = vectors[: len(kept)]
            attributes = None if attributes is None else attributes[: len(kept)]
        if on_remark:
            for sentence in (*describe_suspicions(suspicions, count), *find_sameness(vectors)):
                on_remark(sentence)
        return Embeddings(
            crops, vectors, attributes, self.schema, self.info.vector_fingerprint, flip
        )

    def embed_images(
        self, images: Sequence[Image], *, channels: str = "rgb", flip: bool = False
    ) -> Embeddings:
        """Do as `embed` with images: paths, PIL images or arrays.

        Args:
            images: N of them; either all are paths, or none is.
            channels: of arrays: "rgb", or "bgr" as OpenCV reads them.
            flip: as in `embed`.

        Raises:
            InputError: an image cannot be decoded, or is none.
        """
        return self.embed(crops_of_images(images, channels), flip=flip)

    def embed_batches(
        self, crops: Crops, *, flip: bool = False, batch_size: int = 64
    ) -> Generator[EmbeddedBatch, None, None]:
        """Do as `embed`, but yield the answers as they come.

        Raises:
            InputError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise InputError(f"The batch size is {batch_size}: give 1 or more.")
        # the next whole batch is ready when the model has finished this one
        ahead = max(128, 2 * batch_size)
        load = partial(_load_checked, crops, size=self.info.preprocessing.size)
        images = map_ahead(load, range(len(crops)), ahead=ahead)
        while chunk := list(islice(images, batch_size)):
            broken = {row: i for row, (i, _) in enumerate(chunk) if isinstance(i, InputError)}
            rows = [row for row in range(len(chunk)) if row not in broken]
            good = [image for image, _ in chunk if not isinstance(image, InputError)]
            vectors, attributes = self._run_all(good, flip)
            suspicions = {row: kind for row, (_, kind) in enumerate(chunk) if kind is not None}
            yield EmbeddedBatch(len(chunk), rows, vectors, attributes, broken, suspicions)

    def _run_all(self, images: list[Pixels], flip: bool) -> Answers:
        if not images:
            return (
                np.empty((0, self.info.embedding_size), np.float32),
                None if self.schema is None else np.empty((0, len(self.schema)), np.float32),
            )
        pixels = np.stack(images)
        return self.run_flipped(pixels) if flip else self.run(pixels)

    def predict_attributes(self, image: Image, *, channels: str = "rgb") -> dict[str, float]:
        """Return what the pedestrian on one image looks like.

        Args:
            image: a path, a PIL image, or an array, uint8, shape (height, width, 3).
            channels: of an array: "rgb", or "bgr" as OpenCV reads it.

        Returns:
            The phrase of each attribute ("female", "red top") to its probability.

        Raises:
            InputError: the image cannot be decoded, or the model was not trained on attributes.
        """
        schema = check_attributes(self.info)
        found = self.embed_images([image], channels=channels).known_attributes[0]
        return dict(zip(schema.phrases, found.tolist(), strict=True))

    def run(self, pixels: Pixels) -> Answers:
        """Run the model on decoded crops of the right size.

        Args:
            pixels: uint8, shape (N, height, width, 3), RGB.

        Returns:
            Embeddings, shape (N, D), and attribute probabilities, shape (N, attributes).
        """
        vectors, *logits = self._network.run(
            self._outputs, normalize_pixels(pixels, self.info.preprocessing)
        )
        if not all(np.isfinite(values).all() for values in (vectors, *logits)):
            raise InputError("The model answers NaN: its weights or its model.json are damaged.")
        if (np.abs(np.linalg.norm(vectors, axis=1) - 1) > _ROUNDING).any():
            # a backend that computes in bf16 rounds lengths too
            vectors = normalize_rows(vectors)
        return vectors, sigmoid(logits[0]) if logits else None

    def run_flipped(self, pixels: Pixels) -> Answers:
        """Do as `run`, averaged over the crops and their mirror images."""
        vectors, attributes = self.run(pixels)
        mirrored_vectors, mirrored_attributes = self.run(pixels[:, :, ::-1])
        both = normalize_rows(vectors + mirrored_vectors)
        if attributes is None or mirrored_attributes is None:
            return both, None
        return both, (attributes + mirrored_attributes) * np.float32(0.5)


def crops_of_images(images: Sequence[Image], channels: str = "rgb") -> Crops:
    """Return paths, PIL images or arrays as crops; see `RuntimeModel.embed_images`.

    Raises:
        InputError: an image is none of these, or some are paths and some are not.
    """
    files = [isinstance(image, str | Path) for image in images]
    if all(files):
        return Crops(images)
    if any(files):
        raise InputError("Some images are paths, and some are not: give either.")
    pixels = [check_pixels(image, channels) for image in images]
    return Crops([f"image {number}" for number, _ in enumerate(pixels)], images=pixels)


def find_sameness(vectors: NDArray[np.float32]) -> list[str]:
    """Return a sentence if a model's answers hardly differ from crop to crop.

    Args:
        vectors: embeddings, shape (N, D).
    """
    if len(vectors) < _ENOUGH_TO_COMPARE:
        return []
    farthest = float(np.linalg.norm(vectors - vectors[0], axis=1).max())
    if farthest >= _SAME:
        return []
    return [
        f"The model answers the same for all {len(vectors):,} crops: they are copies of one "
        "picture, or the model has learned nothing."
    ]


def _load_checked(
    crops: Crops, row: int, size: tuple[int, int]
) -> tuple[Pixels | InputError, str | None]:
    """Return a crop at the model's size, and what looks wrong with it."""
    try:
        pixels = load_crop(crops, row)
        return resize(pixels, size), find_suspicion(pixels)
    except InputError as error:
        # a fresh one: the traceback would keep the file's bytes alive
        return InputError(str(error)), None


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


def _check_fit(backend: Backend, info: ModelInfo, path: Path) -> None:
    """Check that the network has the input and the outputs that `model.json` says."""
    expected = {
        "crops": [3, *info.preprocessing.size],
        "embedding": [info.embedding_size],
    }
    if info.schema_ is not None:
        expected["attributes"] = [info.attribute_count]
    found = backend.shapes
    for name, shape in expected.items():
        if found.get(name) != shape:
            raise InputError(
                f"{path}: {name} has the shape {found.get(name)}, but model.json says {shape}: "
                "save the model again."
            )

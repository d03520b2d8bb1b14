"""Model files that compute in 8 bits: smaller, and faster on CPUs that have the instructions.

What may be computed in 8 bits is found by trying: first all convolutions and linear layers with the
activations that follow them, then ever fewer, left out from both ends of the network, where
rounding costs the most, until the answers are near enough to the original's.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from passerby.data.crops import Crops
from passerby.data.decoding import decode_all, load_crop, map_ahead, resize
from passerby.data.suspicions import find_suspicion
from passerby.errors import InputError
from passerby.files import replacing
from passerby.inference.backends import CPU, Network, OnnxRuntime
from passerby.inference.embeddings import Embeddings
from passerby.inference.leakage import read_seen_files
from passerby.inference.model_info import (
    ONNX_NAME,
    ModelInfo,
    describe_files,
    read_model_info,
    write_model_info,
)
from passerby.inference.model_location import find_model
from passerby.inference.runtime_model import Answers, RuntimeModel, normalize_pixels, sigmoid
from passerby.ranking.distance import Distance
from passerby.ranking.queries import draw_queries
from passerby.ranking.query_scores import score_queries
from passerby.toy import draw_people, render_crop, toy_images

LEAST_COSINE, LEAST_MEAN_COSINE, MOST_MAP = 0.985, 0.995, 0.005
"""Between the vectors of a crop in both precisions, the smallest and the mean; and how much lower
mAP may be."""

MOST_CHANGE, MOST_MEAN_CHANGE = 0.25, 0.02
"""Of a crop's probability of an attribute, the largest and the mean."""

CALIBRATED_ON = 128
"""Crops whose values say which range 8 bits have to stand for."""

LEAST_CROPS = 32
"""Of which half say so."""

MOST_CHECKED = 1024
"""Other crops, at most, that are answered in both precisions."""

_ENDS = ((0, 0), (1, 0), (3, 0), (3, 1), (5, 1), (8, 2), (12, 3), (16, 4))
"""Layers that are left out at the beginning and at the end of the network, in this order."""

_LAYERS = ("Conv", "Gemm")
"""Operators with weights."""

_ACTIVATIONS = ("Clip", "Relu")
"""They only bound what a layer answers, so that both are one step in 8 bits."""

_DRAWS = 5
_BATCH = 64
_DRAWN_PERSONS, _DRAWN_CROPS = 64, 8

Said = Callable[[str], None]


@dataclass(frozen=True)
class Agreement:
    """How near the answers in 8 bits are to the original's.

    Attributes:
        crops: that were answered in both precisions.
        cosine, mean_cosine: smallest and mean, between both vectors of a crop.
        map_before, map_after: mean over draws of one query a person among the other crops; None if
            nobody appears in two of them.
        change, mean_change: largest and mean change of a probability; None without attributes.
        left_out: layers at the beginning and at the end that compute in 32 bits.
        steps: layers that compute in 8 bits.
    """

    crops: int
    cosine: float
    mean_cosine: float
    map_before: float | None
    map_after: float | None
    change: float | None
    mean_change: float | None
    left_out: tuple[int, int]
    steps: int

    @property
    def is_enough(self) -> bool:
        """Whether vectors of both precisions may be compared."""
        lost = 0.0
        if self.map_before is not None and self.map_after is not None:
            lost = self.map_before - self.map_after
        near = self.cosine >= LEAST_COSINE and self.mean_cosine >= LEAST_MEAN_COSINE
        if self.change is not None and self.mean_change is not None:
            near &= self.change <= MOST_CHANGE and self.mean_change <= MOST_MEAN_CHANGE
        return near and lost <= MOST_MAP

    def __str__(self) -> str:
        told = "" if self.map_before is not None else "; mAP unknown: nobody is in two crops"
        found = f"cosines of {self.cosine:.4f} at least, {self.mean_cosine:.4f} on average"
        if self.map_before is not None and self.map_after is not None:
            found += f"; mAP {self.map_after:.4f} instead of {self.map_before:.4f}"
        if self.change is not None and self.mean_change is not None:
            found += (
                f"; probabilities change by {self.change:.2f} at most, {self.mean_change:.4f} on "
                "average"
            )
        return found + told


def save_int8(
    source: Path | str | None,
    folder: Path,
    crops: Crops | None = None,
    *,
    say: Said | None = None,
) -> tuple[ModelInfo, Agreement]:
    """Write a model file whose layers compute in 8 bits.

    Thresholds and calibrations are taken over. It has no torch form.

    Args:
        source: a model file's folder, a finished run, or a Hub id.
        folder: replaced if it exists.
        crops: such as the model will see, some hundred, of persons if mAP is to be compared; drawn
            pedestrians if left out. Some say which values occur, the others are answered in both
            precisions.
        say: told what is tried.

    Returns:
        What was written to `model.json`, and how near its answers are.

    Raises:
        InputError: the model file is missing or in 8 bits already, the crops are too few, or the
            answers are too far from the original's however much is left out; nothing is written.
    """
    place = find_model(source)
    info = read_model_info(place)
    if info.precision == "int8":
        raise InputError(f"{place} computes in 8 bits already: use it as it is.")
    # what is wrong with its network is told
    RuntimeModel.load(place)
    calibrating, checking = _divided(_drawn() if crops is None else crops)
    seen = read_seen_files(place, info)
    inputs = _inputs(calibrating, info)
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        steps = _simplified(place / ONNX_NAME, plain)
        checked = [normalize_pixels(part, info.preprocessing) for part in _batches(checking, info)]
        before = _answers(plain, checked, info)
        best: Agreement | None = None
        for ends in _ENDS:
            chosen = steps[ends[0] : len(steps) - ends[1]]
            if not chosen:
                break
            candidate = Path(temporary) / "int8.onnx"
            _quantize(plain, candidate, steps, chosen, inputs)
            after = _answers(candidate, checked, info)
            found = _agreement(checking, before, after, ends, len(chosen))
            if say:
                verdict = "" if found.is_enough else "; too far, so fewer are tried"
                say(f"{len(chosen)} of {len(steps)} layers in 8 bits: {found}{verdict}.")
            if found.is_enough:
                return _written(candidate, folder, info, seen), found
            if best is None or found.cosine > best.cosine:
                best = found
    if best is None:
        raise InputError(
            f"{place} has no layers that could be computed in 8 bits: use it as it is, or export "
            "it in half precision."
        )
    raise InputError(
        f"In 8 bits this network answers otherwise, at best with {best} on {best.crops} crops "
        f"(asked: {LEAST_COSINE}, {LEAST_MEAN_COSINE}, mAP lower by {MOST_MAP} at most, changes of "
        f"{MOST_CHANGE} and {MOST_MEAN_CHANGE}): use it as it is, or export it in half precision."
    )


def _divided(crops: Crops) -> tuple[Crops, Crops]:
    """Return crops that say which values occur, and others to compare both precisions on.

    Raises:
        InputError: one cannot be decoded, or too few are different pictures of pedestrians.
    """
    order = np.random.default_rng(0).permutation(len(crops))
    seen: set[bytes] = set()
    rows: list[int] = []
    for row, pixels in zip(order, map_ahead(partial(load_crop, crops), order), strict=True):
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest not in seen and find_suspicion(pixels) is None:
            rows.append(int(row))
        seen.add(digest)
        if len(rows) == CALIBRATED_ON + MOST_CHECKED:
            break
    if len(rows) < LEAST_CROPS:
        raise InputError(
            f"Of {len(crops)} crops {len(rows)} are different and look like pedestrians, too few "
            f"to measure on: give some hundred, {LEAST_CROPS} at least."
        )
    count = min(CALIBRATED_ON, len(rows) // 2)
    return crops[np.sort(rows[:count])], crops[np.sort(rows[count:])]


def _drawn() -> Crops:
    people = draw_people(_DRAWN_PERSONS, 0)
    images, persons = [], []
    for number, person in enumerate(people):
        for camera in range(_DRAWN_CROPS):
            images.append(render_crop(person, camera % 6 + 1, number * _DRAWN_CROPS + camera))
            persons.append(str(number))
    return Crops([f"drawn {n}" for n in range(len(images))], images=images, person=persons)


def _batches(crops: Crops, info: ModelInfo) -> Iterator[NDArray[np.uint8]]:
    images = list(decode_all(crops, info.preprocessing.size))
    for start in range(0, len(images), _BATCH):
        yield np.stack(images[start : start + _BATCH])


def _inputs(crops: Crops, info: ModelInfo) -> list[NDArray[np.float32]]:
    """Return crops one by one as the network takes them."""
    found = [normalize_pixels(part, info.preprocessing) for part in _batches(crops, info)]
    return [crop[None] for part in found for crop in part]


def _simplified(source: Path, target: Path) -> list[list[str]]:
    """Write a network with all its weights, constants folded; return what may be quantised.

    Returns:
        Names of each layer and of the activation that follows it, in the network's order.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    # with the weights that lie in another file
    whole = onnx.load(source).SerializeToString()
    onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])
    network = onnx.load(target)
    for number, node in enumerate(network.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.save(network, target)
    users: dict[str, list[Any]] = {}
    for node in network.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    steps = []
    for node in network.graph.node:
        if node.op_type in _LAYERS:
            after = users.get(node.output[0], [])
            followed = len(after) == 1 and after[0].op_type in _ACTIVATIONS
            steps.append([node.name, *([after[0].name] if followed else [])])
    return steps


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands crops to the quantiser, one after the other."""

    def __init__(self, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._left = iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        crop = next(self._left, None)
        return None if crop is None else {"crops": crop}


def _quantize(
    plain: Path,
    target: Path,
    steps: list[list[str]],
    chosen: list[list[str]],
    inputs: Sequence[NDArray[np.float32]],
) -> None:
    kept = {name for step in chosen for name in step}
    root = logging.getLogger()
    level = root.level
    # it recommends another preparation, in the root's name
    root.setLevel(logging.ERROR)
    try:
        quantize_static(
            str(plain),
            str(target),
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=[*_LAYERS, *_ACTIVATIONS],
            nodes_to_exclude=[name for step in steps for name in step if name not in kept],
        )
    finally:
        root.setLevel(level)


def _answers(path: Path, inputs: Sequence[NDArray[np.float32]], info: ModelInfo) -> Answers:
    """Return embeddings and probabilities."""
    network = OnnxRuntime(Network(path, True, CPU))
    names = ["embedding"] if info.schema_ is None else ["embedding", "attributes"]
    found = [network.run(names, part) for part in inputs]
    vectors, *logits = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return vectors, sigmoid(logits[0]) if logits else None


def _agreement(
    crops: Crops, before: Answers, after: Answers, ends: tuple[int, int], steps: int
) -> Agreement:
    vectors = before[0], after[0]
    finite = all(bool(np.isfinite(part).all()) for part in after if part is not None)
    if not finite:
        return Agreement(len(crops), -np.inf, -np.inf, None, None, None, None, ends, steps)
    cosines = (vectors[0].astype(np.float64) * vectors[1]).sum(axis=1)
    maps = [_mean_ap(crops, part) for part in vectors]
    change = mean_change = None
    if before[1] is not None and after[1] is not None:
        changes = np.abs(before[1].astype(np.float64) - after[1])
        change, mean_change = float(changes.max()), float(changes.mean())
    return Agreement(
        len(crops),
        float(cosines.min()),
        float(cosines.mean()),
        maps[0],
        maps[1],
        change,
        mean_change,
        ends,
        steps,
    )


def _mean_ap(crops: Crops, vectors: NDArray[np.float32]) -> float | None:
    if not crops.has_persons:
        return None
    people = Embeddings(crops, vectors)
    found = []
    for seed in range(_DRAWS):
        try:
            queries, gallery = draw_queries(crops.person_codes, seed=seed)
        except InputError:
            return None
        scores = score_queries(
            people.of_rows(queries),
            people.of_rows(gallery),
            Distance(features="embedding"),
            leave_out_same_camera=False,
        )
        found.append(np.nanmean(scores.ap))
    return float(np.mean(found))


def _written(network: Path, folder: Path, info: ModelInfo, seen: Any) -> ModelInfo:
    with replacing(folder) as draft:
        draft.mkdir()
        (draft / ONNX_NAME).write_bytes(network.read_bytes())
        seen.write(draft)
        drawn = np.stack([resize(toy_images(1)[0], info.preprocessing.size)])
        answer, _ = _answers(network, [normalize_pixels(drawn, info.preprocessing)], info)
        changed = {
            "precision": "int8",
            "exported_from": info.vector_fingerprint,
            "drawn_answer": tuple(round(number, 5) for number in answer[0].tolist()),
            **describe_files(draft, info.preprocessing),
        }
        written = info.model_copy(update=changed)
        write_model_info(draft, written)
    return written

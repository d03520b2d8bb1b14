"""Model files from re-identification networks that were trained elsewhere, in ONNX form."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper

from passerby.data.decoding import resize
from passerby.errors import InputError
from passerby.files import replacing
from passerby.inference.model_info import (
    ONNX_NAME,
    ModelInfo,
    Preprocessing,
    describe_files,
    write_model_info,
)
from passerby.inference.runtime_model import normalize_pixels
from passerby.toy import toy_images

CHANNELS = ("rgb", "bgr")

_CHECKED = 7
"""Drawn crops that the network answers, of as many persons, and a number that no batch divides."""

_INNER = "network/"
"""Begins the names of what belonged to the network before."""

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_TOLERANCE = 1e-3
"""Farthest that a vector may move with its batch, and nearest that two persons' may be."""


def import_onnx(
    file: Path,
    target: Path,
    preprocessing: Preprocessing,
    *,
    channels: str = "rgb",
    output: str | None = None,
    name: str | None = None,
) -> ModelInfo:
    """Write a model file around an ONNX network that makes a vector of each crop.

    The vectors are scaled to length 1 in the file, the input's channels reordered and its axes
    turned as the network wants them. It is tried on drawn crops. It answers no attributes, and its
    distances are not calibrated yet.

    Args:
        file: the network, with one input for crops, (N, 3, height, width) or (N, height, width, 3),
            float32 or float16.
        target: the folder to write; it must not be there.
        preprocessing: size, mean and deviation of its input, of pixels from 0 to 1.
        channels: their order in its input, "rgb" or "bgr".
        output: that holds the vectors, if it has several.
        name: what the model file is called; the file's if left out.

    Raises:
        InputError: it is not such a network; its answers are not vectors, change with the batch,
            or are the same for all crops.
    """
    if channels not in CHANNELS:
        raise InputError(f"`channels` is {channels!r}: choose rgb or bgr.")
    if target.exists():
        raise InputError(f"{target} is there already: choose another folder, or remove it.")
    network = _load(file)
    chosen = _chosen_output(network, output, file)
    given = _only_input(network, file)
    # 0 stands for any number, and for an input without axes, which is refused below
    batch = next((dim.dim_value for dim in given.type.tensor_type.shape.dim), 0)
    whole = _wrapped(network, given, chosen, preprocessing, channels, file)
    size = _try(whole, f"{_INNER}{chosen}", batch, preprocessing, file)
    value = next(v for v in whole.graph.output if v.name == "embedding")
    _set_shape(value, ("N", size))
    with replacing(target) as draft:
        draft.mkdir()
        onnx.save(whole, draft / ONNX_NAME)
        info = ModelInfo(
            name=name or file.stem,
            schema_=None,
            tasks=("identity",),
            embedding_size=size,
            preprocessing=preprocessing,
            architecture={"onnx": file.name, "channels": channels},
        )
        info = info.model_copy(update=describe_files(draft, preprocessing))
        write_model_info(draft, info)
    return info


def _load(file: Path) -> Any:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"{file} {what}: give an ONNX file.")
    try:
        network = onnx.load(str(file))
        onnx.checker.check_model(network)
    except Exception as error:
        # protobuf, the checker and the file system raise their own
        raise InputError(
            f"{file} is not an ONNX network that can be read ({_first_line(error)}): export it "
            "again."
        ) from error
    return network


def _first_line(error: Exception) -> str:
    """Return what a library says, short enough for a sentence."""
    told = str(error).strip() or type(error).__name__
    return textwrap.shorten(told.splitlines()[0], 150, placeholder=" …").rstrip(".")


def _chosen_output(network: Any, output: str | None, file: Path) -> str:
    names = [value.name for value in network.graph.output]
    if output is None and len(names) == 1:
        return str(names[0])
    if output not in names:
        raise InputError(
            f"{file} has the outputs {', '.join(names)}: say with `output` which of them holds the "
            "vectors."
        )
    return str(output)


def _check_output(network: Any, chosen: str, file: Path) -> None:
    """Check that an output holds numbers, and as far as it is declared, more than one a crop."""
    (value,) = (value for value in network.graph.output if value.name == chosen)
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in _FLOATS:
        raise InputError(
            f"{file}: its output {chosen} does not hold floating-point numbers: choose another "
            "`output`."
        )
    if kind.HasField("shape") and len(kind.shape.dim) < 2:
        raise InputError(
            f"{file} makes no vector of each crop (its output {chosen} has "
            f"{len(kind.shape.dim)} axes, not two): choose another `output`."
        )


def _only_input(network: Any, file: Path) -> Any:
    """Return what takes the crops."""
    held = {tensor.name for tensor in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in held]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(f"{file} has the inputs {names}: it must have one alone, for the crops.")
    return inputs[0]


def _wrapped(
    network: Any,
    given: Any,
    chosen: str,
    preprocessing: Preprocessing,
    channels: str,
    file: Path,
) -> Any:
    """Return the network from "crops" to "embedding", as model files have them."""
    kind = given.type.tensor_type
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise InputError(
            f"{file}: its input {given.name} is not float32 or float16: export it for normalised "
            "pixels."
        )
    axes = [dim.dim_value for dim in kind.shape.dim]
    last = _channels_last(axes, preprocessing.size, file)
    _check_output(network, chosen, file)
    _let_batches_vary(network)
    inner = compose.add_prefix(network, _INNER)
    start, end = f"{_INNER}{given.name}", f"{_INNER}{chosen}"
    nodes, before = [], "crops"
    constants = []
    if channels == "bgr":
        constants.append(helper.make_tensor("channel_order", TensorProto.INT64, [3], [2, 1, 0]))
        nodes.append(helper.make_node("Gather", [before, "channel_order"], ["reordered"], axis=1))
        before = "reordered"
    if last:
        nodes.append(helper.make_node("Transpose", [before], ["turned"], perm=[0, 2, 3, 1]))
        before = "turned"
    nodes.append(helper.make_node("Cast", [before], [start], to=kind.elem_type))
    after = [
        helper.make_node("Flatten", [end], ["flat"], axis=1),
        helper.make_node("Cast", ["flat"], ["vectors"], to=TensorProto.FLOAT),
        helper.make_node("LpNormalization", ["vectors"], ["embedding"], axis=1, p=2),
    ]
    height, width = preprocessing.size
    graph = helper.make_graph(
        [*nodes, *inner.graph.node, *after],
        "passerby",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["N", 3, height, width])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", None])],
        [*constants, *inner.graph.initializer],
    )
    return helper.make_model(
        graph,
        opset_imports=network.opset_import,
        functions=inner.functions,
        ir_version=network.ir_version,
    )


def _channels_last(axes: Sequence[int], size: tuple[int, int], file: Path) -> bool:
    """Tell whether colours are the input's last axis; 0 is an axis of any length."""
    height, width = size
    layouts = {False: (3, height, width), True: (height, width, 3)}
    for last, expected in layouts.items() if len(axes) == 4 else ():
        if all(own in (0, want) for own, want in zip(axes[1:], expected, strict=True)):
            return last
    shape = " × ".join(str(axis or "any") for axis in axes)
    raise InputError(
        f"{file} takes inputs of {shape}, not crops of {height}×{width} pixels: give the `size` "
        "that it was exported for."
    )


def _let_batches_vary(network: Any) -> None:
    """Forget the number of crops that the network was exported for, if it was for one alone."""
    for value in (*network.graph.input, *network.graph.output):
        shape = value.type.tensor_type.shape
        if len(shape.dim):
            shape.dim[0].ClearField("dim_value")
            shape.dim[0].dim_param = "N"
    # what was noted of values in between would hold for that number only
    del network.graph.value_info[:]


def _set_shape(value: Any, shape: Sequence[str | int]) -> None:
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, list(shape)))


def _try(whole: Any, inner: str, batch: int, preprocessing: Preprocessing, file: Path) -> int:
    """Answer drawn crops, alone and together; return the length of the vectors.

    Args:
        whole: the network from "crops" to "embedding".
        inner: name of what it made before that was flattened.
        batch: of crops that it was exported for; 0 for any.
        preprocessing: of its input.
        file: for messages.
    """
    drawn = np.stack([resize(image, preprocessing.size) for image in toy_images(_CHECKED)])
    crops = normalize_pixels(drawn, preprocessing)
    tried = onnx.ModelProto()
    tried.CopyFrom(whole)
    tried.graph.node.append(helper.make_node("Shape", [inner], ["shape"]))
    tried.graph.output.append(helper.make_tensor_value_info("shape", TensorProto.INT64, [None]))
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4  # what goes wrong is told below
    try:
        session = onnxruntime.InferenceSession(
            tried.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # ONNX Runtime's exceptions share no public base class
        raise InputError(
            f"ONNX Runtime cannot load {file} ({_first_line(error)}): export it again, with "
            "standard operators."
        ) from error
    try:
        alone = np.concatenate([_answer(session, crop[None]) for crop in crops])
    except Exception as error:
        if batch > 1:
            raise InputError(
                f"{file} takes {batch} crops at a time, no more and no fewer: export it with a "
                "batch of any size (a dynamic axis)."
            ) from error
        raise InputError(
            f"{file} does not run on crops of {preprocessing.height}×{preprocessing.width} pixels "
            f"({_first_line(error)}): give the `size` that it was exported for, or export it again."
        ) from error
    try:
        together = _answer(session, crops)
    except Exception as error:
        raise InputError(
            f"{file} takes one crop at a time: export it with a batch of any size (a dynamic axis)."
        ) from error
    shape = session.run(["shape"], {"crops": crops})[0].tolist()
    if any(axis != 1 for axis in shape[2:]):
        raise InputError(
            f"{file} makes no vector of each crop (answers of shape {shape} for {_CHECKED} "
            "crops): choose another `output`, or export it with its pooling."
        )
    _check_vectors(alone, together, file)
    return int(alone.shape[1])


def _answer(session: onnxruntime.InferenceSession, crops: NDArray[np.float32]) -> Any:
    return session.run(["embedding"], {"crops": crops})[0]


def _check_vectors(alone: NDArray[np.float32], together: NDArray[np.float32], file: Path) -> None:
    if alone.ndim != 2 or len(alone) != _CHECKED or alone.shape[1] < 2:
        raise InputError(
            f"{file} makes no vector of each crop (answers of shape {list(alone.shape)} for "
            f"{_CHECKED} crops): choose another `output`."
        )
    if together.shape != alone.shape:
        raise InputError(
            f"{file} answers {len(together)} vectors for {_CHECKED} crops: export it with a batch "
            "of any size (a dynamic axis)."
        )
    if not np.isfinite(alone).all():
        raise InputError(
            f"{file} answers NaN or infinity: check the weights that were exported, and mean and "
            "deviation (of pixels from 0 to 1)."
        )
    moved = float(np.linalg.norm(together - alone, axis=1).max())
    if not moved <= _TOLERANCE:
        raise InputError(
            f"{file} answers a crop otherwise in a batch than alone (its vector moves by "
            f"{moved:.2g}): export it in evaluation mode."
        )
    apart = np.linalg.norm(alone[:, None] - alone[None], axis=2)[np.triu_indices(_CHECKED, 1)]
    if apart.max() < _TOLERANCE:
        raise InputError(
            f"{file} answers the same for all of {_CHECKED} drawn persons: check the weights that "
            "were exported, and mean and deviation (of pixels from 0 to 1)."
        )

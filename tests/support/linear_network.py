"""An ONNX network as others train them: pixels side by side, times weights."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH, SIZE = 16, 8, 6
WEIGHTS = np.random.default_rng(0).normal(size=(3 * HEIGHT * WIDTH, SIZE)).astype(np.float32)


def network(
    file: Path,
    *,
    shape: tuple[object, ...] = ("batch", 3, HEIGHT, WIDTH),
    kind: int = TensorProto.FLOAT,
    nodes: list | None = None,
    outputs: tuple[str, ...] = ("crops_out",),
    weights: np.ndarray = WEIGHTS,
    answered: int | None = None,
    axes: int = 2,
) -> Path:
    """Write a linear network: pixels side by side, times weights.

    `answered` and `axes` are declared of its outputs, and are `kind` and 2 if left out.
    """
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = nodes or [
        helper.make_node("Flatten", ["crops"], ["embedding"], axis=1),
        helper.make_node("MatMul", ["embedding", "weights"], ["crops_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("crops", kind, list(shape))],
        [
            helper.make_tensor_value_info(name, answered or kind, ["n", "d"][:axes])
            for name in outputs
        ],
        [numpy_helper.from_array(weights.astype(dtype), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, file)
    return file

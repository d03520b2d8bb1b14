"""A `PersonModel` as an ONNX file, checked against torch."""

import json
import struct
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxscript.ir
import onnxscript.optimizer
import torch
from numpy.typing import NDArray
from torch import nn

from passerby.inference.runtime_model import normalize_pixels
from passerby.models.person_model import PersonModel, outputs_of
from passerby.toy import toy_images

TOLERANCES = {"embedding": 1e-4, "attributes": 1e-3}
"""Largest difference between the two runtimes, relative to values above 1. Where instances are
normalised, rounding of logits alone may come to 1e-4."""

CHECKED_BATCHES = (1, 7, 64)


class _EmbeddingOnly(nn.Module):
    """A network without attributes, whose only output is the embedding."""

    def __init__(self, model: PersonModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.model(crops).embedding  # type: ignore[no-any-return]


class ExportMismatchError(Exception):
    """ONNX Runtime and torch answer differently for the same crops."""


def export_onnx(model: PersonModel, path: Path) -> None:
    """Write the model as ONNX with a dynamic batch size and compare it with torch.

    The file's input is `crops`, float32 (N, 3, height, width), normalised; its outputs are
    `embedding`, L2-normalised, (N, D), and, of a network with a schema, `attributes`, logits,
    (N, attributes).

    Raises:
        ExportMismatchError: on toy crops the embeddings differ by more than 1e-4, or the logits by
            more than 1e-3, at a batch size of 1, 7 or 64.
    """
    _write(_program(model, fused=True).model_proto, path)
    _check(model, path)


def export_onnx_beside(model: PersonModel, path: Path, weights: Path) -> None:
    """Write the model as ONNX that takes its weights from a safetensors file beside it.

    The network is not simplified: ONNX Runtime does so when it loads it. Weights that are stored
    in half precision are turned into float32 there.

    Args:
        model: holds the very values of `weights`.
        path: the ONNX file.
        weights: the safetensors file, in the same folder.

    Raises:
        ExportMismatchError: as `export_onnx`.
    """
    program = _program(model, fused=False)
    onnxscript.optimizer.fold_constants(program.model, should_fold=_needs_no_weights)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    network = program.model_proto
    stored = _places(weights)
    casts = []
    for tensor in network.graph.initializer:
        if tensor.name not in stored:
            continue
        kind, start, length = stored[tensor.name]
        if kind == "F16":
            half = f"{tensor.name}.half"
            cast = onnx.helper.make_node("Cast", [half], [tensor.name], to=onnx.TensorProto.FLOAT)
            casts.append(cast)
            tensor.name, tensor.data_type = half, onnx.TensorProto.FLOAT16
        onnx.external_data_helper.set_external_data(tensor, weights.name, start, length)
        tensor.ClearField("raw_data")
    nodes = list(network.graph.node)
    del network.graph.node[:]
    network.graph.node.extend([*casts, *nodes])
    _write(network, path)
    _check(model, path)


def example_crops(model: PersonModel, count: int) -> NDArray[np.float32]:
    """Return drawn crops as the model takes them, shape (count, 3, height, width)."""
    pixels = torch.from_numpy(toy_images(count)).permute(0, 3, 1, 2).float()
    resized = nn.functional.interpolate(pixels, model.architecture.size, mode="bilinear")
    return normalize_pixels(resized.round().byte().permute(0, 2, 3, 1).numpy(), model.preprocessing)


def _program(model: PersonModel, *, fused: bool) -> torch.onnx.ONNXProgram:
    model = model.cpu().float().eval()
    example = torch.zeros(2, 3, *model.architecture.size)
    with torch.no_grad():
        program = torch.onnx.export(
            model if model.schema is not None else _EmbeddingOnly(model).eval(),
            (example,),
            input_names=["crops"],
            output_names=["embedding"] + ["attributes"] * (model.schema is not None),
            dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
            dynamo=True,
            optimize=fused,
            verbose=False,
        )
    assert program is not None
    return program


def _write(network: onnx.ModelProto, path: Path) -> None:
    """Write the network without the exporter's notes: stack traces, with this machine's paths."""
    for part in (network, network.graph, *network.graph.node, *network.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    path.write_bytes(network.SerializeToString())


def _needs_no_weights(node: onnxscript.ir.Node) -> bool | None:
    """Leave alone what turns weights into others, which would not be those of the file."""
    weights = (v for v in node.inputs if v is not None and v.is_initializer())
    return False if any(v.shape is not None and len(v.shape) > 1 for v in weights) else None


def _places(weights: Path) -> dict[str, tuple[str, int, int]]:
    """Return each tensor's type, and where its bytes begin in the file and how many they are."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], 8 + size + begin, end - begin)
        for name, entry in header.items()
        for begin, end in [entry["data_offsets"]]
    }


def _check(model: PersonModel, path: Path) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    crops = example_crops(model, max(CHECKED_BATCHES))
    for count in CHECKED_BATCHES:
        ours = outputs_of(model, torch.from_numpy(crops[:count]))
        answered = {name: a for name, a in ours._asdict().items() if a is not None}
        theirs = session.run(list(answered), {"crops": crops[:count]})
        for (name, a), b in zip(answered.items(), theirs, strict=True):
            difference, most = _difference(a.numpy(), b), TOLERANCES[name]
            if not difference <= most:
                raise ExportMismatchError(
                    f"ONNX Runtime and torch differ by {difference:.1e} in {name!r} at batch size "
                    f"{count}, more than {most:.0e}: {model.architecture.backbone} cannot be "
                    "exported faithfully with these versions."
                )


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a))))

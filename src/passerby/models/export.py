"""A `PersonModel` as an ONNX file, checked against torch."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from passerby.data.toy import toy_images
from passerby.embedding.runtime_model import normalised
from passerby.models.person_model import PersonModel, outputs_of

TOLERANCE = 1e-4
"""Largest difference between the two runtimes, relative to values above 1."""

CHECKED_BATCHES = (1, 7, 64)


class ExportMismatchError(Exception):
    """ONNX Runtime and torch answer differently for the same crops."""


def export_onnx(model: PersonModel, path: Path) -> None:
    """Write the model as ONNX with a dynamic batch size and compare it with torch.

    The file's input is `crops`, float32 (N, 3, height, width), normalised; its outputs are
    `embedding`, L2-normalised, (N, D), and `attributes`, logits, (N, attributes).

    Raises:
        ExportMismatchError: on toy crops the outputs differ by more than 1e-4 at a batch size of
            1, 7 or 64.
    """
    model = model.cpu().float().eval()
    example = torch.zeros(2, 3, *model.architecture.size)
    with torch.no_grad():
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["crops"],
            output_names=["embedding", "attributes"],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=False)
    _check(model, path)


def _check(model: PersonModel, path: Path) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    crops = _example_crops(model, max(CHECKED_BATCHES))
    for count in CHECKED_BATCHES:
        ours = outputs_of(model, torch.from_numpy(crops[:count]))
        theirs = session.run(list(ours._fields), {"crops": crops[:count]})
        for name, a, b in zip(ours._fields, ours, theirs, strict=True):
            difference = _difference(a.numpy(), b)
            if not difference <= TOLERANCE:
                raise ExportMismatchError(
                    f"ONNX Runtime and torch differ by {difference:.1e} in {name!r} at batch size "
                    f"{count}, more than {TOLERANCE:.0e}: {model.architecture.backbone} cannot be "
                    "exported faithfully with these versions."
                )


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a))))


def _example_crops(model: PersonModel, count: int) -> NDArray[np.float32]:
    pixels = torch.from_numpy(toy_images(count)).permute(0, 3, 1, 2).float()
    resized = nn.functional.interpolate(pixels, model.architecture.size, mode="bilinear")
    return normalised(resized.round().byte().permute(0, 2, 3, 1).numpy(), model.preprocessing)

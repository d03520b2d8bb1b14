"""Model files of a quarter of the size: weights in half precision, and only once."""

from pathlib import Path

import torch
from torch import Tensor

from passerby.errors import InputError
from passerby.files import replacing
from passerby.inference.leakage import read_seen_files
from passerby.inference.model_info import (
    ONNX_NAME,
    WEIGHTS_NAME,
    ModelInfo,
    describe_files,
    read_model_info,
    write_model_info,
)
from passerby.inference.model_location import find_model
from passerby.models.export import example_crops, export_onnx_beside
from passerby.models.model_file import load_person_model
from passerby.models.person_model import Outputs, outputs_of
from passerby.models.tensor_file import write_tensors

TOLERANCE = 0.05
"""Largest change of a probability, and farthest that an embedding may move (two persons' are about
1.3 apart); the model that ships stays under 0.01."""

_CHECKED = 64
"""Drawn crops that are answered before and after."""


def save_half_precision(source: Path | str, folder: Path) -> ModelInfo:
    """Write a model file whose weights are float16, stored once for both of its forms.

    It is a quarter as large, as fast (both forms compute in float32), and answers almost the
    same, which is checked on drawn crops: each weight is off by 5e-4 of itself at most, or by 3e-8.
    Biases and normalisations stay float32. Thresholds and calibrations are taken over.

    Args:
        source: a model file's folder, a finished run, or a Hub id.
        folder: replaced if it exists.

    Returns:
        What was written to `model.json`; it says that its vectors stand for the source's.

    Raises:
        ExportMismatchError: ONNX Runtime and torch disagree; nothing is written.
        InputError: there is no model file, the place cannot be written to, or the answers change
            by more than 0.05.
    """
    model = load_person_model(source)
    info = read_model_info(find_model(source))
    seen = read_seen_files(find_model(source), info)
    crops = torch.from_numpy(example_crops(model, _CHECKED))
    before = outputs_of(model, crops)
    weights = {name: _halved(tensor) for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    _check(before, outputs_of(model, crops))
    with replacing(folder) as draft:
        draft.mkdir()
        write_tensors(draft / WEIGHTS_NAME, weights)
        export_onnx_beside(model, draft / ONNX_NAME, draft / WEIGHTS_NAME)
        seen.write(draft)
        changed = {
            "precision": "fp16",
            "exported_from": info.vector_fingerprint,
            **describe_files(draft, info.preprocessing),
        }
        info = info.model_copy(update=changed)
        write_model_info(draft, info)
    return info


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def _check(before: Outputs, after: Outputs) -> None:
    moved = (after.embedding - before.embedding).norm(dim=1).max()
    changed, finite = torch.zeros(()), after.embedding.isfinite().all()
    if after.attributes is not None and before.attributes is not None:
        changed = (after.attributes.sigmoid() - before.attributes.sigmoid()).abs().max()
        finite = finite & after.attributes.isfinite().all()
    if not (finite and moved <= TOLERANCE and changed <= TOLERANCE):
        raise InputError(
            "In half precision this network answers otherwise (on drawn crops embeddings move by "
            f"{moved:.2g} and probabilities change by {changed:.2g}; {TOLERANCE} would be borne): "
            "keep the model file as it is."
        )

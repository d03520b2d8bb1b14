"""Checkpoints: the state of a run after an epoch, in one safetensors file; nothing is pickled.

No random state is kept: every epoch draws from a seed of its own.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from passerby.errors import InputError
from passerby.files import replacing
from passerby.models.tensor_file import write_tensors

NAME = "checkpoint.safetensors"

_MODEL, _AVERAGE, _OPTIMIZER = "model.", "average.", "optimizer."
_PSEUDO_LABELS = "pseudo_labels."


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `epochs` epochs.

    Attributes:
        epochs: epochs done.
        seconds: time that they took.
        data: fingerprint of the data.
        model: the network's tensors.
        average: those of the weights' moving average; empty without one.
        optimizer: the optimiser's tensors, "ROW.NAME" each.
        pseudo_labels: fields of the `PseudoLabels` that the phase learns from; empty without.
    """

    epochs: int
    seconds: float
    data: str
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    pseudo_labels: dict[str, Tensor]

    def save(self, run: Path) -> None:
        """Write the checkpoint in place of the previous one."""
        tensors = {
            **{_MODEL + name: value for name, value in self.model.items()},
            **{_AVERAGE + name: value for name, value in self.average.items()},
            **{_OPTIMIZER + name: value for name, value in self.optimizer.items()},
            **{_PSEUDO_LABELS + name: value for name, value in self.pseudo_labels.items()},
        }
        progress = {"epochs": self.epochs, "seconds": self.seconds, "data": self.data}
        with replacing(run / NAME) as draft:
            write_tensors(draft, tensors, {"progress": json.dumps(progress)})

    @classmethod
    def load(cls, run: Path) -> "Checkpoint | None":
        """Read a run's checkpoint; None if it has none yet.

        Raises:
            InputError: the file is damaged.
        """
        path = run / NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                progress = json.loads(file.metadata()["progress"])
                epochs, seconds = int(progress["epochs"]), float(progress["seconds"])
                data = str(progress["data"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} is damaged or cut off ({error}): "
                "remove the run's folder, and train again from the start."
            ) from error
        return cls(
            epochs=epochs,
            seconds=seconds,
            data=data,
            model=_beginning_with(_MODEL, tensors),
            average=_beginning_with(_AVERAGE, tensors),
            optimizer=_beginning_with(_OPTIMIZER, tensors),
            pseudo_labels=_beginning_with(_PSEUDO_LABELS, tensors),
        )

    def restore(self, model: nn.Module, average: nn.Module | None = None) -> None:
        """Give a network, and the moving average of its weights, the checkpoint's tensors.

        Raises:
            InputError: they are not this network's.
        """
        try:
            model.load_state_dict(self.model)
            if average is not None:
                average.load_state_dict(self.average)
        except RuntimeError:
            raise InputError(
                "The checkpoint does not hold the recipe's network: remove the run's folder, and "
                "train again from the start."
            ) from None


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state by parameter row and name."""
    return {
        f"{row}.{name}": value
        for row, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    rows: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        row, _, name = key.partition(".")
        rows.setdefault(int(row), {})[name] = _laid_out_like(weights[int(row)], value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": rows, "param_groups": groups})


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    """Return the value in the weight's memory format; fused optimisers rely on it."""
    if value.shape != weight.shape:
        return value
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def _beginning_with(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

"""Checkpoints: the state of a run after an epoch, in one safetensors file; nothing is pickled.

No random state is kept: every epoch draws from a seed of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from passerby.errors import InputError
from passerby.files import replacing
from passerby.models.tensor_file import read_metadata, read_tensors, write_tensors
from passerby.training.log import EpochRow

NAME = "checkpoint.safetensors"

_MODEL, _AVERAGE, _OPTIMIZER = "model.", "average.", "optimizer."
_PSEUDO_LABELS = "pseudo_labels."


@dataclass(frozen=True)
class Progress:
    """How far a run is, and what it is a run of.

    Attributes:
        recipe: its content, as JSON has it.
        data: fingerprint of the data.
        seconds: time that training took so far.
        rows: of the log, one for each epoch done.
    """

    recipe: Mapping[str, Any]
    data: str
    seconds: float
    rows: tuple[EpochRow, ...]

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.rows)

    @classmethod
    def load(cls, run: Path) -> "Progress | None":
        """Read how far a run is; None if it has no checkpoint yet.

        Raises:
            InputError: the checkpoint is damaged.
            OSError: it cannot be read.
        """
        path = run / NAME
        if not path.exists():
            return None
        with _undamaged(path):
            values = json.loads(read_metadata(path)["progress"])
            rows = tuple(EpochRow.from_json(row) for row in values["rows"])
            if not rows or [row.epoch for row in rows] != list(range(1, len(rows) + 1)):
                raise ValueError("its epochs are not numbered from 1 on")
            recipe = dict(values["recipe"])
            return cls(recipe, str(values["data"]), float(values["seconds"]), rows)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after its last whole epoch.

    Attributes:
        progress: how far it is.
        model: the network's tensors.
        average: those of the weights' moving average; empty without one.
        optimizer: the optimiser's tensors, "ROW.NAME" each.
        pseudo_labels: fields of the `PseudoLabels` that the phase learns from; empty without.
    """

    progress: Progress
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
        with replacing(run / NAME) as draft:
            write_tensors(draft, tensors, {"progress": json.dumps(asdict(self.progress))})

    @classmethod
    def load(cls, run: Path) -> "Checkpoint | None":
        """Read a run's checkpoint; None if it has none yet.

        Raises:
            InputError: the file is damaged.
            OSError: it cannot be read.
        """
        progress = Progress.load(run)
        if progress is None:
            return None
        with _undamaged(run / NAME):
            tensors = read_tensors(run / NAME)
        return cls(
            progress,
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
            raise _other("network") from None


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state by parameter row and name."""
    return {
        f"{row}.{name}": value
        for row, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises:
        InputError: the tensors are not this optimiser's.
    """
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    rows: dict[int, dict[str, Any]] = {}
    try:
        for key, value in tensors.items():
            row, _, name = key.partition(".")
            rows.setdefault(int(row), {})[name] = _laid_out_like(weights[int(row)], value)
    except (IndexError, ValueError):
        raise _other("optimiser") from None
    # each weight that is learned has all the tensors that any of them has
    names = {frozenset(state) for state in rows.values()}
    stateless = optimizer.param_groups[0].get("momentum") == 0
    if len(names) > 1 or not (names or stateless):
        raise _other("optimiser")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": rows, "param_groups": groups})


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"{path} was written by another version of Passerby (it lacks {error}): go on with "
            "that one, or choose another folder."
        ) from error
    except (SafetensorError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is damaged or cut off ({error}): "
            "remove the run's folder, and train again from the start."
        ) from error


def _other(part: str) -> InputError:
    return InputError(
        f"The checkpoint does not hold the recipe's {part}: remove the run's folder, and train "
        "again from the start."
    )


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    """Return the value in the weight's memory format; fused optimisers rely on it."""
    if not value.ndim:
        return value  # it counts steps
    if value.shape != weight.shape:
        raise ValueError("another shape")
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def _beginning_with(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from passerby.errors import InputError
from passerby.training.checkpoint import (
    NAME,
    Checkpoint,
    Progress,
    optimizer_tensors,
    restore_optimizer,
)
from passerby.training.log import EpochRow

PROGRESS = Progress(
    {"name": "x", "phases": [{"epochs": 3}]},
    "data",
    12.5,
    tuple(EpochRow(epoch, 1, 0.5, 0.1, 6.25, 100.0) for epoch in (1, 2)),
)


def saved(network: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    return Checkpoint(PROGRESS, network.state_dict(), {}, optimizer_tensors(optimizer), {})


def trained(steps: int, optimizer_class: type = torch.optim.AdamW) -> tuple:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer = optimizer_class(network.parameters(), lr=0.1, weight_decay=0.01)
    if optimizer_class is torch.optim.SGD:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    step(network, optimizer, steps)
    return network, optimizer


def step(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for i in range(steps):
        optimizer.zero_grad()
        network(torch.arange(3.0) + i).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("optimizer_class", [torch.optim.AdamW, torch.optim.SGD])
def test_a_restored_optimizer_goes_on_as_before(tmp_path: Path, optimizer_class: type) -> None:
    network, optimizer = trained(5, optimizer_class)
    saved(network, optimizer).save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded.progress == PROGRESS == Progress.load(tmp_path)
    assert loaded.progress.epochs == 2
    other, fresh = trained(0, optimizer_class)
    other.load_state_dict(loaded.model)
    restore_optimizer(fresh, loaded.optimizer)
    step(network, optimizer, 4)
    step(other, fresh, 4)
    torch.testing.assert_close(other.weight, network.weight, rtol=0, atol=0)


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    assert Checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short(tmp_path: Path, share: float) -> None:
    network, optimizer = trained(1)
    saved(network, optimizer).save(tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="is damaged or cut off .* train again from the start"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": []},
        {"rows": [vars(PROGRESS.rows[1])]},
        {"recipe": 3},
        {"seconds": "long"},
    ],
)
def test_progress_that_is_none(tmp_path: Path, damage: dict) -> None:
    network, optimizer = trained(1)
    checkpoint = saved(network, optimizer)
    checkpoint.save(tmp_path)
    tensors = load_file(tmp_path / NAME)
    progress = json.dumps(asdict(PROGRESS) | damage)
    save_file(tensors, tmp_path / NAME, {"progress": progress})
    with pytest.raises(InputError, match="is damaged or cut off"):
        Progress.load(tmp_path)


def test_a_checkpoint_of_another_version(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / NAME, {"progress": json.dumps({"epochs": 3})})
    with pytest.raises(InputError, match="was written by another version .*it lacks 'rows'"):
        Progress.load(tmp_path)


def test_a_folder_in_the_place_of_a_checkpoint(tmp_path: Path) -> None:
    """Nothing is called damaged that cannot be opened."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(IsADirectoryError):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"9.exp_avg": torch.zeros(2)},
        {"x.exp_avg": torch.zeros(2)},
        {"0.exp_avg": torch.zeros(7)},
        {"0.step": torch.zeros(()), "1.exp_avg": torch.zeros(2)},
    ],
)
def test_another_optimizers_state(other: dict[str, torch.Tensor]) -> None:
    _, optimizer = trained(1)
    with pytest.raises(InputError, match="does not hold the recipe's optimiser"):
        restore_optimizer(optimizer, other)


def test_an_optimizer_without_momentum_has_no_state() -> None:
    network = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    step(network, optimizer, 2)
    restore_optimizer(optimizer, optimizer_tensors(optimizer))

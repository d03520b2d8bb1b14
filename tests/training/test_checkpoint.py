from pathlib import Path

import pytest
import torch
from torch import nn

from passerby.errors import InputError
from passerby.training.checkpoint import (
    NAME,
    Checkpoint,
    optimizer_tensors,
    restore_optimizer,
)


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
    Checkpoint(3, 12.5, "data", network.state_dict(), {}, optimizer_tensors(optimizer), {}).save(
        tmp_path
    )
    loaded = Checkpoint.load(tmp_path)
    assert loaded is not None
    assert (loaded.epochs, loaded.seconds) == (3, 12.5)
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
    Checkpoint(1, 0, "data", network.state_dict(), {}, optimizer_tensors(optimizer), {}).save(
        tmp_path
    )
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="is damaged or cut off .* train again from the start"):
        Checkpoint.load(tmp_path)

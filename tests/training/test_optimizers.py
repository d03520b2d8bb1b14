import pytest
import torch
from torch import nn

from passerby.training.optimizers import build_optimizer, learning_rate
from passerby.training.recipe import Phase


def phase(**values: object) -> Phase:
    return Phase(**{"optimizer": "adamw", "epochs": 10, "learning_rate": 0.1, **values})


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        ("constant", 0, 0.1),
        ("constant", 10, 0.1),
        ("linear", 0, 0.1),
        ("linear", 2.5, 0.075),
        ("linear", 10, 0),
        ("cosine", 0, 0.1),
        ("cosine", 5, 0.05),
        ("cosine", 10, 0),
    ],
)
def test_schedules(schedule: str, epoch: float, expected: float) -> None:
    assert learning_rate(phase(schedule=schedule), epoch) == pytest.approx(expected)


def test_the_warm_up_comes_first() -> None:
    warmed = phase(schedule="linear", warmup_epochs=2)
    assert learning_rate(warmed, 0.5) == pytest.approx(0.025)
    assert learning_rate(warmed, 2) == pytest.approx(0.1)
    assert learning_rate(warmed, 6) == pytest.approx(0.05)
    assert learning_rate(phase(schedule="constant", warmup_epochs=10), 10) == pytest.approx(0.1)


def test_a_quarter_of_a_cosine_is_above_the_line() -> None:
    assert learning_rate(phase(schedule="cosine"), 2.5) == pytest.approx(0.0853553)


def test_weight_decay_spares_biases_and_norms_and_frozen_weights_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    network[2].requires_grad_(False)
    optimizer = build_optimizer(phase(weight_decay=0.3), network)
    decayed, spared = optimizer.param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert len(spared["params"]) == 3
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0)


def test_sgd_has_nesterov_momentum() -> None:
    optimizer = build_optimizer(phase(optimizer="sgd", momentum=0.8), nn.Linear(1, 1))
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["nesterov"]
    assert optimizer.param_groups[0]["momentum"] == 0.8

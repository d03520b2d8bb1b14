"""Optimisers and learning rates of a phase."""

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from passerby.training.recipe import Phase


def build_optimizer(phase: Phase, model: nn.Module) -> Optimizer:
    """Return the phase's optimiser over the weights that are to be trained.

    Weight decay spares vectors and scalars: biases and the weights of normalisations.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": phase.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if phase.optimizer == "adamw":
        return AdamW(groups, lr=phase.learning_rate, fused=True)
    return SGD(groups, lr=phase.learning_rate, momentum=phase.momentum, nesterov=phase.momentum > 0)


def learning_rate(phase: Phase, epoch: float) -> float:
    """Return the learning rate at a point of the phase.

    Args:
        phase: of the recipe.
        epoch: epochs of this phase done so far, with their fraction, in [0, phase.epochs].
    """
    if epoch < phase.warmup_epochs:
        return phase.learning_rate * epoch / phase.warmup_epochs
    remaining = phase.epochs - phase.warmup_epochs
    done = min(1.0, (epoch - phase.warmup_epochs) / remaining) if remaining > 0 else 0.0
    match phase.schedule:
        case "linear":
            return phase.learning_rate * (1 - done)
        case "cosine":
            return phase.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case _:
            return phase.learning_rate


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value

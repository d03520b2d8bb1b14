"""A training run of seconds, and one that is killed on the way."""

from passerby.training import Listener, Recipe, load_recipe
from passerby.training.log import EpochRow

SMALL = [
    "data.held_out_persons=6",
    "data.calibration_persons=0",
    "loss.identity.weight=0",
    "loss.metric.kind=none",
    "instances_per_person=0",
    "model.backbone=test_resnet",
    "model.size=[64, 32]",
    "model.dropout=0.2",
    "precision=fp32",
    "phases.0.epochs=2",
    "phases.1.epochs=2",
]


def small(*overrides: str) -> Recipe:
    return load_recipe("smoke", [*SMALL, *overrides])


class Stop(Exception):
    """Stands for a killed process."""


def stopping_after(epoch: int) -> Listener:
    def on_epoch(row: EpochRow) -> None:
        if row.epoch == epoch:
            raise Stop

    return Listener(on_epoch=on_epoch)

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.models import Architecture, PersonModel
from passerby.training.attribute_loss import AttributeLoss
from passerby.training.crop_dataset import TrainingBatch
from passerby.training.metric_loss import HardTripletLoss
from passerby.training.multitask_loss import LossMeans, MultitaskLoss
from passerby.training.recipe import IdentityLossSection, LossSection
from passerby.training.training_module import TrainingModule, TrainingOutputs

PERSONS = torch.tensor([0, 0, 1, 1])
LABELS = torch.tensor([[True, False]] * 2 + [[False, False]] * 2)
ERASED = torch.tensor([False, True, False, False])
SETS = torch.zeros(4, dtype=torch.int64)
PIXELS = torch.zeros(4, 3, 64, 32, dtype=torch.uint8)
BATCH = TrainingBatch(PIXELS, LABELS, PERSONS, SETS, ERASED)
FREQUENCIES = np.array([0.5, 0.0])
ALL_THREE = {
    "attributes": {"weight": 0.5},
    "identity": {"weight": 2, "label_smoothing": 0.2},
    "metric": {"kind": "triplet", "weight": 3, "margin": 9},
}


def training_module(section: IdentityLossSection | None = None) -> TrainingModule:
    architecture = Architecture(backbone="test_resnet", size=(64, 32), neck="batchnorm")
    return TrainingModule(
        PersonModel(architecture, MARKET1501_ATTRIBUTES), 5, section or IdentityLossSection()
    )


def learned() -> TrainingOutputs:
    torch.manual_seed(0)
    return TrainingOutputs(torch.randn(4, 3), torch.randn(4, 2), torch.randn(4, 2))


def multitask_loss(values: dict[str, object]) -> MultitaskLoss:
    section = LossSection.model_validate(values)
    weighted = section.attributes.weight > 0
    attributes = AttributeLoss(section.attributes, FREQUENCIES) if weighted else None
    return MultitaskLoss(training_module(), section, attributes)


def single_losses(x: TrainingOutputs) -> tuple[Tensor, Tensor, Tensor]:
    section = LossSection.model_validate(ALL_THREE)
    smoothed = torch.where(functional.one_hot(PERSONS) == 1, 0.9, 0.1)
    return (
        AttributeLoss(section.attributes, FREQUENCIES)(x.attributes, LABELS, ERASED),
        -(smoothed * x.identities.log_softmax(dim=1)).sum(dim=1).mean(),
        HardTripletLoss(9)(x.features, PERSONS),
    )


def test_the_sum_of_the_losses() -> None:
    x = learned()
    attributes, identity, metric = single_losses(x)
    found = multitask_loss(ALL_THREE).loss(x, BATCH)
    torch.testing.assert_close(found, 0.5 * attributes + 2 * identity + 3 * metric)


def test_crops_of_nobody_teach_no_identity() -> None:
    """The losses of identity and distance are those of the others alone."""
    x = learned()
    values = {**ALL_THREE, "attributes": {"weight": 0}}
    nobody = torch.tensor([0, 0, -1, 1])
    known = nobody >= 0
    found = multitask_loss(values).loss(x, BATCH._replace(persons=nobody))
    few = TrainingOutputs(*(part[known] for part in x))
    batch = TrainingBatch(*(part[known] for part in BATCH._replace(persons=nobody)))
    torch.testing.assert_close(found, multitask_loss(values).loss(few, batch))


def test_a_batch_of_nobody() -> None:
    x = learned()
    values = {**ALL_THREE, "attributes": {"weight": 0}}
    nobody = BATCH._replace(persons=torch.full((4,), -1))
    assert multitask_loss(values).loss(x, nobody).item() == 0


def test_each_loss_by_its_name_and_dataset() -> None:
    x = learned()
    section = LossSection.model_validate(ALL_THREE)
    attributes = AttributeLoss(section.attributes, FREQUENCIES)
    module = MultitaskLoss(training_module(), section, attributes, ("x", "y", "z"))
    batch = BATCH._replace(sets=torch.tensor([0, 0, 1, 2]), persons=torch.tensor([0, 1, 1, -1]))
    module.loss(x, batch)
    parts = {part.name: part for part in module.last}
    names = ("attributes", "identity")
    assert set(parts) == {*names, "metric", *(f"{n} {s}" for n in names for s in "xyz")}
    smoothed = torch.where(functional.one_hot(torch.tensor([0, 1, 1])) == 1, 0.9, 0.1)
    each = -(smoothed * x.identities[:3].log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(parts["identity x"].value, each[:2].mean())
    torch.testing.assert_close(parts["identity y"].value, each[2])
    assert parts["identity z"].crops == 0
    torch.testing.assert_close(parts["identity"].value, each.mean())
    one = attributes(x.attributes[2:3], LABELS[2:3], ERASED[2:3])
    torch.testing.assert_close(parts["attributes y"].value, one)
    means = LossMeans()
    means.add(module.last)
    means.add(module.last)
    found = means.of_all(Accelerator(cpu=True))
    assert "identity z" not in found
    assert found["identity x"] == pytest.approx(each[:2].mean().item())


def test_learnt_weights_begin_with_the_given_ones_and_follow_the_losses() -> None:
    """With s = −log w, exp(−s) L + s / 2 is w L − log(w) / 2, and its slope in s 1/2 − w L."""
    x = learned()
    balanced = multitask_loss(ALL_THREE | {"balance": "uncertainty"})
    loss = balanced.loss(x, BATCH)
    losses, weights = single_losses(x), (0.5, 2, 3)
    expected = sum(w * one - math.log(w) / 2 for w, one in zip(weights, losses, strict=True))
    torch.testing.assert_close(loss, torch.as_tensor(expected))
    loss.backward()
    assert balanced.log_variances is not None
    for weight, one, s in zip(weights, losses, balanced.log_variances.values(), strict=True):
        torch.testing.assert_close(s.grad, 0.5 - weight * one)


def test_distances_of_attribute_logits() -> None:
    x = learned()
    expected = HardTripletLoss(0.3)(functional.normalize(x.attributes), PERSONS)
    only = {"attributes": {"weight": 0}, "metric": {"kind": "triplet", "vectors": "logits"}}
    torch.testing.assert_close(multitask_loss(only).loss(x, BATCH), expected)


def test_attributes_are_not_learned_from_erased_crops_if_so_wished() -> None:
    x = learned()
    whole = multitask_loss({"attributes": {"erased": False}}).loss(x, BATCH)
    kept = AttributeLoss(LossSection().attributes, FREQUENCIES)(
        x.attributes[~ERASED], LABELS[~ERASED], ERASED[~ERASED]
    )
    torch.testing.assert_close(whole, kept)


IN_PARTS = """
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed

from test_multitask_loss import ALL_THREE, BATCH, TrainingOutputs, learned, multitask_loss

torch.distributed.init_process_group("gloo")
rank = distributed.get_rank()
part = slice(2 * rank, 2 * rank + 2)
x = TrainingOutputs(*(values[part].clone().requires_grad_() for values in learned()))
batch = type(BATCH)(*(values[part] for values in BATCH))
torch.manual_seed(0)
loss = multitask_loss(ALL_THREE | {"attributes": {"erased": False}}).loss(x, batch)
loss.backward()
found = {"loss": loss.detach(), **{name: x._asdict()[name].grad for name in x._fields}}
save_file(found, Path(sys.argv[1]) / str(rank))
distributed.destroy_process_group()
"""


def test_the_loss_of_parts_is_that_of_the_whole(tmp_path: Path) -> None:
    """Averaged over two processes, as their gradients are; one has an erased crop, one has none."""
    (tmp_path / "in_parts.py").write_text(IN_PARTS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    result = subprocess.run(
        [*command, tmp_path / "in_parts.py", tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    whole = TrainingOutputs(*(values.requires_grad_() for values in learned()))
    loss = multitask_loss(ALL_THREE | {"attributes": {"erased": False}}).loss(whole, BATCH)
    loss.backward()
    one, two = (load_file(tmp_path / str(rank)) for rank in range(2))
    torch.testing.assert_close((one["loss"] + two["loss"]) / 2, loss.detach())
    for name, values in whole._asdict().items():
        torch.testing.assert_close(torch.cat([one[name], two[name]]) / 2, values.grad)


def test_from_crops_to_the_loss() -> None:
    section = LossSection.model_validate({"identity": {"weight": 1}, "attributes": {"weight": 0}})
    whole = MultitaskLoss(training_module(section.identity), section, None).eval()
    crops = torch.rand(4, 3, 64, 32)
    torch.testing.assert_close(whole(crops, BATCH), whole.loss(whole.training_module(crops), BATCH))


@pytest.mark.parametrize("reweighting", [False, True])
def test_the_learner_wraps_the_network(reweighting: bool) -> None:
    one = training_module(IdentityLossSection(weight=1, reweighting=reweighting)).eval()
    model = one.model
    crops = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        answer, plain = one(crops), model(crops)
    torch.testing.assert_close(answer.attributes, plain.attributes)
    necked = model.neck(answer.features)
    torch.testing.assert_close(functional.normalize(necked, dim=1), plain.embedding)
    if reweighting:
        probabilities = plain.attributes.sigmoid()
        assert one.reweighting is not None
        gates = one.reweighting.confidence(probabilities).sigmoid()
        necked = torch.cat([necked, gates * probabilities], dim=1)
    torch.testing.assert_close(answer.identities, one.classifier(necked))


def test_without_identity_there_is_no_classifier() -> None:
    one = training_module()
    assert one(torch.rand(2, 3, 64, 32)).identities.shape == (2, 0)
    assert {name for name, _ in one.named_parameters()} == {
        f"model.{name}" for name, _ in one.model.named_parameters()
    }


def test_new_persons_are_expected_where_their_embeddings_are() -> None:
    """As long as the rows of the known ones are on average; attributes say nothing about them."""
    x = training_module(IdentityLossSection(weight=1, reweighting=True))
    assert x.classifier is not None
    size = x.model.embedding_size
    before = torch.zeros(5, size + len(MARKET1501_ATTRIBUTES))
    before[:, 0] = torch.tensor([1.0, 3.0, 9.0, 9.0, 9.0])
    x.classifier.weight.data = before
    x.replace_persons(2, torch.eye(size)[3:4])
    assert torch.equal(x.classifier.weight[:2], before[:2])
    new = torch.zeros(size + len(MARKET1501_ATTRIBUTES))
    new[3] = 2
    assert torch.equal(x.classifier.weight[2:], new[None])
    x.replace_persons(2, torch.zeros(0, 0))
    assert torch.equal(x.classifier.weight, before[:2])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_persons_compete_within_their_dataset(reduction: str) -> None:
    """As a classifier for each dataset's persons alone; persons 0 and 3 are of one, 1, 2, 4 not."""
    torch.manual_seed(0)
    logits, persons = torch.randn(6, 5), torch.tensor([0, 3, -1, 2, 4, 1])
    sets = torch.tensor([0, 1, 1, 0, 1])
    section = LossSection.model_validate(
        {"identity": {"weight": 1, "label_smoothing": 0.2, "within_sets": True}}
    )
    loss = MultitaskLoss(training_module(), section, None, ("x", "y"), sets)
    of_first = functional.cross_entropy(
        logits[[0, 1]][:, [0, 3]], torch.tensor([0, 1]), label_smoothing=0.2, reduction="none"
    )
    of_second = functional.cross_entropy(
        logits[[3, 4, 5]][:, [1, 2, 4]],
        torch.tensor([1, 2, 0]),
        label_smoothing=0.2,
        reduction="none",
    )
    values = torch.cat([of_first, torch.zeros(1), of_second])
    expected = {"mean": values.sum() / 5, "sum": values.sum(), "none": values}[reduction]
    torch.testing.assert_close(loss._cross_entropy(logits, persons, reduction), expected)

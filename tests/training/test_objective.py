import numpy as np
import pytest
import torch
from torch.nn import functional

from passerby.data import COURSE
from passerby.models import Architecture, PersonModel
from passerby.training.attribute_loss import AttributeLoss
from passerby.training.learner import Learned, Learner
from passerby.training.metric_loss import HardTripletLoss
from passerby.training.objective import Objective
from passerby.training.recipe import IdentityLossSection, LossSection

PERSONS = torch.tensor([0, 0, 1, 1])
LABELS = torch.tensor([[True, False]] * 2 + [[False, False]] * 2)
PERSON_LABELS = np.array([[True, False], [False, False]])


def learned() -> Learned:
    torch.manual_seed(0)
    return Learned(torch.randn(4, 3), torch.randn(4, 2), torch.randn(4, 2))


def test_the_sum_of_the_losses() -> None:
    section = LossSection.model_validate(
        {
            "attributes": {"weight": 0.5},
            "identity": {"weight": 2, "label_smoothing": 0.2},
            "metric": {"kind": "triplet", "weight": 3, "margin": 9},
        }
    )
    x = learned()
    smoothed = torch.where(functional.one_hot(PERSONS) == 1, 0.9, 0.1)
    identity = -(smoothed * x.identities.log_softmax(dim=1)).sum(dim=1).mean()
    expected = (
        0.5 * AttributeLoss(section.attributes, PERSON_LABELS)(x.attributes, LABELS)
        + 2 * identity
        + 3 * HardTripletLoss(9)(x.features, PERSONS)
    )
    torch.testing.assert_close(Objective(section, PERSON_LABELS)(x, LABELS, PERSONS), expected)


def test_distances_of_attribute_logits() -> None:
    section = LossSection.model_validate(
        {"attributes": {"weight": 0}, "metric": {"kind": "triplet", "vectors": "logits"}}
    )
    x = learned()
    expected = HardTripletLoss(0.3)(functional.normalize(x.attributes), PERSONS)
    torch.testing.assert_close(Objective(section, None)(x, LABELS, PERSONS), expected)


@pytest.mark.parametrize("reweighting", [False, True])
def test_the_learner_wraps_the_network(reweighting: bool) -> None:
    model = PersonModel(
        Architecture(backbone="test_resnet", size=(64, 32), neck="batchnorm"), COURSE
    )
    section = IdentityLossSection(weight=1, reweighting=reweighting)
    learner = Learner(model, 5, section).eval()
    crops = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        answer, plain = learner(crops), model(crops)
    torch.testing.assert_close(answer.attributes, plain.attributes)
    necked = model.neck(answer.features)
    torch.testing.assert_close(functional.normalize(necked, dim=1), plain.embedding)
    if reweighting:
        probabilities = plain.attributes.sigmoid()
        assert learner.reweighting is not None
        gates = learner.reweighting.confidence(probabilities).sigmoid()
        necked = torch.cat([necked, gates * probabilities], dim=1)
    torch.testing.assert_close(answer.identities, learner.classifier(necked))


def test_without_identity_there_is_no_classifier() -> None:
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), COURSE)
    learner = Learner(model, 5, IdentityLossSection())
    assert learner(torch.rand(2, 3, 64, 32)).identities.shape == (2, 0)
    assert {name for name, _ in learner.named_parameters()} == {
        f"model.{name}" for name, _ in model.named_parameters()
    }

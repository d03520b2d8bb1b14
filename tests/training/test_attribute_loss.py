import math

import numpy as np
import pytest
import torch

from passerby.models.exclusive_groups import group_log_odds
from passerby.training.attribute_loss import AttributeLoss, deepmar_weights
from passerby.training.recipe import AttributeLossSection

PERSONS = np.array([[True, False], [True, False], [True, True], [False, False]])
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
LABELS = torch.tensor([[True, False], [False, True]])
NONE = torch.tensor([False, False])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_deepmar_weights_by_hand() -> None:
    positive, negative = deepmar_weights(np.array([0.75, 0.25]), sigma=1)
    np.testing.assert_allclose(positive, [math.exp(0.25), math.exp(0.75)])
    np.testing.assert_allclose(negative, [math.exp(0.75), math.exp(0.25)])
    positive, _ = deepmar_weights(np.array([0.75]), sigma=2)
    np.testing.assert_allclose(positive, [math.exp(0.25 / 4)])


def test_the_weighted_loss_by_hand() -> None:
    """Frequencies 0.75 and 0.25; −log σ(x) = softplus(−x), −log(1 − σ(x)) = softplus(x)."""
    loss = AttributeLoss(AttributeLossSection(weighting="deepmar"), PERSONS)
    terms = [
        math.exp(0.25) * softplus(-2.0),
        math.exp(0.25) * softplus(-1.0),
        math.exp(0.75) * softplus(0.5),
        math.exp(0.75) * softplus(-3.0),
    ]
    assert loss(LOGITS, LABELS, NONE).item() == pytest.approx(sum(terms) / 4, rel=1e-6)


def test_the_plain_loss_is_torchs() -> None:
    loss = AttributeLoss(AttributeLossSection(weighting="none"), PERSONS)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, LABELS.float())
    torch.testing.assert_close(loss(LOGITS, LABELS, NONE), expected)


def test_erased_crops_can_be_left_out() -> None:
    loss = AttributeLoss(AttributeLossSection(erased=False), PERSONS)
    one = torch.tensor([False, True])
    torch.testing.assert_close(loss(LOGITS, LABELS, one), loss(LOGITS[:1], LABELS[:1], one[:1]))
    both = AttributeLoss(AttributeLossSection(), PERSONS)
    torch.testing.assert_close(both(LOGITS, LABELS, one), both(LOGITS, LABELS, NONE))
    assert loss(LOGITS, LABELS, ~NONE).item() == 0


def test_a_softmax_group_counts_what_holds() -> None:
    """Log-odds of a softmax: −log σ of the one that holds is torch's cross entropy."""
    persons = np.array([[True, False, False], [False, False, True]])
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])
    labels = torch.tensor([[True, False, False], [False, False, True]])
    groups = [slice(0, 3)]
    loss = AttributeLoss(AttributeLossSection(weighting="none"), persons, groups)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])) / 3
    torch.testing.assert_close(loss(group_log_odds(logits, groups), labels, NONE), expected)


def test_a_probability_is_as_good_as_so_many_labels() -> None:
    """Three crops of four that have it, and one that has not, as one crop of three quarters."""
    loss = AttributeLoss(AttributeLossSection(weighting="deepmar"), PERSONS)
    same = LOGITS[:1].expand(4, 2)
    labels = torch.tensor([[True, True], [True, False], [True, False], [False, False]])
    one = loss(LOGITS[:1], torch.tensor([[0.75, 0.25]]), NONE[:1])
    torch.testing.assert_close(one, loss(same, labels, NONE[:1].expand(4)))

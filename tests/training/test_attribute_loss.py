import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from passerby.models.exclusive_groups import group_log_odds
from passerby.training.attribute_loss import AttributeLoss, deepmar_weights
from passerby.training.recipe import AttributeLossSection

FREQUENCIES = np.array([0.75, 0.25])
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
    loss = AttributeLoss(AttributeLossSection(weighting="deepmar"), FREQUENCIES)
    terms = [
        math.exp(0.25) * softplus(-2.0),
        math.exp(0.25) * softplus(-1.0),
        math.exp(0.75) * softplus(0.5),
        math.exp(0.75) * softplus(-3.0),
    ]
    assert loss(LOGITS, LABELS, NONE).item() == pytest.approx(sum(terms) / 4, rel=1e-6)


def test_the_plain_loss_is_torchs() -> None:
    loss = AttributeLoss(AttributeLossSection(weighting="none"), FREQUENCIES)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, LABELS.float())
    torch.testing.assert_close(loss(LOGITS, LABELS, NONE), expected)


def test_unknown_labels_do_not_count() -> None:
    """By hand: three of four labels are known, the mean is over these."""
    loss = AttributeLoss(AttributeLossSection(weighting="deepmar"), FREQUENCIES)
    unknown = torch.tensor([[1.0, 0.0], [math.nan, 1.0]])
    logits = LOGITS.clone().requires_grad_()
    found = loss(logits, unknown, NONE)
    terms = [
        math.exp(0.25) * softplus(-2.0),
        math.exp(0.25) * softplus(-1.0),
        math.exp(0.75) * softplus(-3.0),
    ]
    assert found.item() == pytest.approx(sum(terms) / 3, rel=1e-6)
    found.backward()
    assert ((logits.grad == 0) == unknown.isnan()).all()
    nothing = loss(LOGITS, torch.full((2, 2), math.nan), NONE)
    assert nothing.item() == 0


def test_unknown_labels_and_erased_crops_are_left_out_together() -> None:
    loss = AttributeLoss(AttributeLossSection(erased=False), FREQUENCIES)
    labels = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    found = loss(LOGITS, labels, torch.tensor([False, True]))
    assert found.item() == pytest.approx(math.exp(0.25) * softplus(-2.0), rel=1e-6)


@pytest.mark.parametrize("erased", [True, False])
def test_where_all_is_known_nothing_changed(erased: bool) -> None:
    """Bit by bit what it was before labels could be unknown, gradients too."""
    torch.manual_seed(0)
    loss = AttributeLoss(AttributeLossSection(erased=erased), np.linspace(0, 1, 29))
    for _ in range(20):
        labels, gone = torch.rand(61, 29) < 0.4, torch.rand(61) < 0.4
        ours, theirs = (torch.randn(61, 29, requires_grad=True) for _ in range(2))
        theirs.data.copy_(ours.data)
        before = -(
            loss.positive * labels.float() * functional.logsigmoid(theirs)
            + loss.negative * (1 - labels.float()) * functional.logsigmoid(-theirs)
        )
        if not erased:
            counted = ~gone[:, None]
            before = before * counted * (len(counted) / counted.sum().clamp(min=1))
        expected, found = before.mean(), loss(ours, labels, gone)
        assert torch.equal(found, expected)
        expected.backward()
        found.backward()
        assert torch.equal(ours.grad, theirs.grad)


def test_an_attribute_that_nobody_knows_weighs_like_one_half() -> None:
    unknown, half = (
        AttributeLoss(AttributeLossSection(weighting="deepmar"), np.array([0.75, p]))
        for p in (math.nan, 0.5)
    )
    assert torch.equal(unknown.positive, half.positive)
    assert torch.equal(unknown.negative, half.negative)


def test_erased_crops_can_be_left_out() -> None:
    loss = AttributeLoss(AttributeLossSection(erased=False), FREQUENCIES)
    one = torch.tensor([False, True])
    torch.testing.assert_close(loss(LOGITS, LABELS, one), loss(LOGITS[:1], LABELS[:1], one[:1]))
    both = AttributeLoss(AttributeLossSection(), FREQUENCIES)
    torch.testing.assert_close(both(LOGITS, LABELS, one), both(LOGITS, LABELS, NONE))
    assert loss(LOGITS, LABELS, ~NONE).item() == 0


def test_a_softmax_group_counts_what_holds() -> None:
    """Log-odds of a softmax: −log σ of the one that holds is torch's cross entropy."""
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])
    labels = torch.tensor([[True, False, False], [False, False, True]])
    groups = [slice(0, 3)]
    loss = AttributeLoss(AttributeLossSection(weighting="none"), np.full(3, 0.5), groups)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])) / 3
    torch.testing.assert_close(loss(group_log_odds(logits, groups), labels, NONE), expected)


def test_a_probability_is_as_good_as_so_many_labels() -> None:
    """Three crops of four that have it, and one that has not, as one crop of three quarters."""
    loss = AttributeLoss(AttributeLossSection(weighting="deepmar"), FREQUENCIES)
    same = LOGITS[:1].expand(4, 2)
    labels = torch.tensor([[True, True], [True, False], [True, False], [False, False]])
    one = loss(LOGITS[:1], torch.tensor([[0.75, 0.25]]), NONE[:1])
    torch.testing.assert_close(one, loss(same, labels, NONE[:1].expand(4)))

import math

import numpy as np
import pytest
import torch

from passerby.training.attribute_loss import AttributeLoss, deepmar_weights
from passerby.training.recipe import AttributeLossSection

PERSONS = np.array([[True, False], [True, False], [True, True], [False, False]])
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
LABELS = torch.tensor([[True, False], [False, True]])


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
    assert loss(LOGITS, LABELS).item() == pytest.approx(sum(terms) / 4, rel=1e-6)


def test_the_plain_loss_is_torchs() -> None:
    loss = AttributeLoss(AttributeLossSection(weighting="none"), PERSONS)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, LABELS.float())
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)

import math

import pytest
import torch

from passerby.training.metric_loss import HardTripletLoss, WeightedTripletLoss, metric_loss
from passerby.training.recipe import MetricLossSection

LINE = torch.tensor([[0.0], [1.0], [3.0], [4.5]])
"""Four crops on a line, so that distances can be read off."""
PERSONS = torch.tensor([7, 7, 9, 9])


def test_hard_triplets_by_hand() -> None:
    """d⁺ = 1, 1, 1.5, 1.5; nearest negatives 3, 2, 2, 3.5; with margin 1.2 two violate it:
    1 − 2 + 1.2 = 0.2 and 1.5 − 2 + 1.2 = 0.7."""
    assert HardTripletLoss(1.2)(LINE, PERSONS).item() == pytest.approx((0.2 + 0.7) / 2)
    assert HardTripletLoss(0.1)(LINE, PERSONS).item() == 0


def test_weighted_triplets_against_a_loop() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(12, 5)
    persons = torch.arange(12) % 4
    expected = []
    for i in range(12):
        d = [math.dist(vectors[i].tolist(), vectors[j].tolist()) for j in range(12)]
        positives = [d[j] for j in range(12) if j != i and persons[j] == persons[i]]
        negatives = [d[j] for j in range(12) if persons[j] != persons[i]]
        far = sum(x * math.exp(x) for x in positives) / sum(math.exp(x) for x in positives)
        near = sum(x * math.exp(-x) for x in negatives) / sum(math.exp(-x) for x in negatives)
        expected.append(math.log1p(math.exp(far - near)))
    loss = WeightedTripletLoss()(vectors, persons)
    assert loss.item() == pytest.approx(sum(expected) / 12, rel=1e-5)


def test_someone_with_a_single_crop_is_no_anchor() -> None:
    """log(1 + exp(1 − 3)) and log(1 + exp(1 − 2)), of slopes σ(−2) and σ(−1)."""
    vectors = LINE[:3].clone().requires_grad_()
    loss = WeightedTripletLoss()(vectors, torch.tensor([7, 7, 9]))
    d = [[1.0, 3.0], [1.0, 2.0]]
    assert loss.item() == pytest.approx(sum(math.log1p(math.exp(p - n)) for p, n in d) / 2)
    loss.backward()
    first, second = (1 / (1 + math.exp(n - p)) for p, n in d)
    # of 1 − 3: −1 + 1, 1, −1; of 1 − 2: −1, 1 + 1, −1
    expected = [-second / 2, (first + 2 * second) / 2, -(first + second) / 2]
    torch.testing.assert_close(vectors.grad, torch.tensor(expected)[:, None])


@pytest.mark.parametrize("kind", ["triplet", "weighted_triplet"])
def test_gradients_are_finite_for_equal_crops(kind: str) -> None:
    vectors = torch.zeros(4, 3, requires_grad=True)
    metric_loss(MetricLossSection(kind=kind))(vectors, PERSONS).backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()

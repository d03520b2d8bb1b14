import numpy as np
import pytest

from passerby.evaluation import bootstrap
from passerby.evaluation.bootstrap import interval, person_weights, weight_blocks


def test_every_resample_draws_as_many_persons() -> None:
    weights = person_weights(7, 500, seed=0)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    assert not np.array_equal(weights, person_weights(7, 500, seed=1))
    assert np.array_equal(weights, person_weights(7, 500, seed=0))


def test_the_middle_of_what_was_found() -> None:
    """Of 0 … 1000 the lowest and the highest 2.5 % are left out."""
    figures = np.random.default_rng(0).permutation(1001).astype(np.float64)
    np.testing.assert_allclose(interval(figures), [25, 975])
    both = interval(np.stack([figures, 2 * figures], axis=1))
    np.testing.assert_allclose(both, [[25, 50], [975, 1950]])


def test_blocks_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = person_weights(7, 23, seed=3)
    for values in (1, 21, 10**9):
        monkeypatch.setattr(bootstrap, "_BLOCK_VALUES", values)
        blocks = list(weight_blocks(7, 23, seed=3))
        assert np.array_equal(np.concatenate(blocks), expected)
    assert len(blocks) == 1

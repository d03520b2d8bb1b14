import numpy as np
import pytest
import torch

from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.models import Architecture, PersonModel
from passerby.models.attribute_maps import attribute_maps
from passerby.models.person_model import Outputs
from passerby.toy import toy_images


def built(**parts: object) -> PersonModel:
    torch.manual_seed(0)
    architecture = Architecture(backbone="test_resnet", size=(64, 32), **parts)
    model = PersonModel(architecture, MARKET1501_ATTRIBUTES).eval()
    torch.nn.init.normal_(model.attribute_head.weight)
    return model


def test_a_network_that_looks_at_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the pixel of row 12 and column 17: patches are 10 × 10, moved by 5, so that it is covered
    by those from rows 5 and 10 and columns 10 and 15, and a place by as many of these as of all
    that cover it. Lower values there speak for the second attribute, and against the first."""
    model = built()
    crop = np.full((64, 32, 3), 255, np.uint8)

    def looking(batch: torch.Tensor) -> Outputs:
        seen = batch[:, 0, 12, 17, None] * torch.arange(2.0).repeat(16).mul(-2).add(1)
        return Outputs(torch.ones(len(batch), 1), seen)

    monkeypatch.setattr(model, "forward", looking)
    found = attribute_maps(model, crop)
    white = (1 - model.preprocessing.mean[0]) / model.preprocessing.std[0]
    covering, covered = np.zeros((64, 32)), np.zeros((64, 32))
    for row in range(0, 59, 5):
        for column in range(0, 26, 5):
            patch = slice(row, row + 10), slice(column, column + 10)
            covering[patch] += 1
            covered[patch] += row in (5, 10) and column in (10, 15)
    expected = white * covered / covering
    np.testing.assert_allclose(found.maps[0], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps[1], 0, atol=1e-5)
    np.testing.assert_allclose(found.probabilities[0], 1 / (1 + np.exp(-white)), rtol=1e-5)


def test_a_network_without_attributes_sees_none() -> None:
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), None)
    with pytest.raises(InputError, match="not trained on attributes, so it cannot show where"):
        attribute_maps(model, toy_images(1)[0])


def test_any_network_can_be_explained() -> None:
    model = built(pool="gem", neck="batchnorm", groups="softmax", attention={"kind": "both"})
    found = attribute_maps(model, toy_images(1)[0])
    assert found.maps.shape == (32, 64, 32)
    assert (found.maps >= 0).all()
    assert found.maps.max() > 0
    assert found.probabilities.shape == (32,)

import numpy as np
import torch

from passerby.data import COURSE
from passerby.data.toy import toy_images
from passerby.models import Architecture, PersonModel
from passerby.models.attribute_maps import attribute_maps


def built(**parts: object) -> PersonModel:
    torch.manual_seed(0)
    architecture = Architecture(backbone="test_resnet", size=(64, 32), **parts)
    model = PersonModel(architecture, COURSE).eval()
    torch.nn.init.normal_(model.attribute_head.weight)
    return model


def test_averaged_maps_are_weighted_by_the_classifier() -> None:
    """With average pooling the gradient of a logit is its weight / places, everywhere."""
    model = built()
    crop = toy_images(1)[0]
    found = attribute_maps(model, crop)
    with torch.no_grad():
        from passerby.data.decoding import resize
        from passerby.embedding.runtime_model import normalised

        pixels = normalised(resize(crop, (64, 32))[None], model.preprocessing)
        features = model.backbone(torch.from_numpy(pixels))[0]
        probabilities = model(torch.from_numpy(pixels)).attributes[0].sigmoid()
    places = features.shape[1] * features.shape[2]
    weighted = torch.einsum("ac,crs->ars", model.attribute_head.weight, features) / places
    assert found.maps.shape == (32, *features.shape[1:])
    np.testing.assert_allclose(found.maps, weighted.relu().detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.probabilities, probabilities.numpy(), atol=1e-6)


def test_any_head_can_be_explained() -> None:
    model = built(pool="gem", neck="batchnorm", groups="softmax", attention={"kind": "both"})
    found = attribute_maps(model, toy_images(1)[0])
    assert (found.maps >= 0).all()
    assert found.maps.max() > 0

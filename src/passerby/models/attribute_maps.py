"""Where in a crop the network finds each attribute."""

from typing import NamedTuple

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray

from passerby.data.decoding import Pixels, resize
from passerby.embedding.runtime_model import normalised
from passerby.models.person_model import PersonModel


class AttributeMaps(NamedTuple):
    """Of one crop and each attribute.

    Attributes:
        probabilities: float32, shape (attributes,), in [0, 1].
        maps: float32, shape (attributes, rows, columns), not negative: how much each place of the
            last feature map speaks for the attribute; rows and columns cover the whole crop.
    """

    probabilities: NDArray[np.float32]
    maps: NDArray[np.float32]


def attribute_maps(model: PersonModel, crop: Pixels) -> AttributeMaps:
    """Explain one crop with Grad-CAM.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, eq. 1 and 2, on the feature map that is pooled.

    Args:
        model: set to evaluation.
        crop: RGB, uint8, shape (height, width, 3), of any size.
    """
    model = model.cpu().eval()
    pixels = resize(crop, model.architecture.size)[None]
    count = len(model.schema)
    crops = torch.from_numpy(normalised(pixels, model.preprocessing)).repeat(count, 1, 1, 1)
    # the attention block, which is the identity in most models, hands the map to the pooling
    explainer = LayerGradCam(lambda batch: model(batch).attributes, model.attention)
    target = torch.arange(count)
    maps = explainer.attribute(crops, target=target, relu_attributions=True)
    with torch.no_grad():
        probabilities = model(crops[:1]).attributes[0].sigmoid()
    return AttributeMaps(probabilities.numpy(), maps.detach()[:, 0].numpy())

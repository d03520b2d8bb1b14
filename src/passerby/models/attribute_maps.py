"""Where in a crop the network finds each attribute."""

from typing import NamedTuple

import numpy as np
import torch
from captum.attr import Occlusion
from numpy.typing import NDArray
from torch import Tensor

from passerby.data.decoding import Pixels, resize
from passerby.errors import InputError
from passerby.inference.runtime_model import normalize_pixels
from passerby.models.person_model import PersonModel

_ROWS, _COLUMNS = 6, 3
"""So many patches, side by side, cover a crop; they are moved by half of their size."""


class AttributeMaps(NamedTuple):
    """Of one crop and each attribute.

    Attributes:
        probabilities: float32, shape (attributes,), in [0, 1].
        maps: float32, shape (attributes, height, width), not negative: by how much the
            attribute's log-odds fall when the place is covered, on average over the patches that
            cover it; height and width are the network's.
    """

    probabilities: NDArray[np.float32]
    maps: NDArray[np.float32]


def attribute_maps(model: PersonModel, crop: Pixels) -> AttributeMaps:
    """Explain one crop by covering a part of it at a time with its backbone's mean colour.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section
    4.2. Grad-CAM on the last feature map hardly tells what matters to these networks from what does
    not (benchmarks/explaining.py).

    Args:
        model: set to evaluation.
        crop: RGB, uint8, shape (height, width, 3), of any size.

    Raises:
        InputError: the network answers no attributes.
    """
    if model.schema is None:
        raise InputError(
            "The model was not trained on attributes, so it cannot show where it sees them: choose "
            "one that was."
        )
    model = model.cpu().eval()
    height, width = model.architecture.size
    pixels = resize(crop, (height, width))[None]
    crops = torch.from_numpy(normalize_pixels(pixels, model.preprocessing))
    patch = (3, max(1, height // _ROWS), max(1, width // _COLUMNS))
    step = (3, max(1, patch[1] // 2), max(1, patch[2] // 2))

    def attributes(batch: Tensor) -> Tensor:
        return model(batch).attributes[0]  # type: ignore[no-any-return]

    with torch.inference_mode():
        falls = Occlusion(attributes).attribute(crops, sliding_window_shapes=patch, strides=step)
        probabilities = attributes(crops).sigmoid()
    return AttributeMaps(probabilities.numpy(), falls[:, 0].relu().float().numpy())

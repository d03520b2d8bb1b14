"""The network together with what only training needs: the classifier over the training persons."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from passerby.models.person_model import PersonModel
from passerby.training.recipe import IdentityLossSection

_LENGTH = 0.5
"""Of the classifier's rows, where there is nobody yet whose rows could tell it."""


class TrainingOutputs(NamedTuple):
    """What the losses look at, for N crops.

    Attributes:
        features: before the neck, shape (N, D).
        attributes: logits, shape (N, attributes); (N, 0) of a network without attributes.
        identities: logits over the training persons, shape (N, persons); (N, 0) without a
            classifier.
    """

    features: Tensor
    attributes: Tensor
    identities: Tensor


class AttributeReweighting(nn.Module):
    """Attribute probabilities, each times a confidence that all of them decide together.

    Lin et al., "Improving Person Re-identification by Attribute and Identity Learning", Pattern
    Recognition 2019, section 3.3: c = sigmoid(V a + b), and c ⊙ a joins the features.
    """

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.confidence = nn.Linear(attributes, attributes)

    def forward(self, logits: Tensor) -> Tensor:
        probabilities = logits.sigmoid()
        return probabilities * self.confidence(probabilities).sigmoid()


class TrainingModule(nn.Module):
    """A `PersonModel` with a classifier over the training persons on its necked features."""

    def __init__(self, model: PersonModel, persons: int, section: IdentityLossSection) -> None:
        """Build the classifier.

        Args:
            model: the network.
            persons: how many are trained on.
            section: `loss.identity` of the recipe.
        """
        super().__init__()
        self.model = model
        attributes = 0 if model.schema is None else len(model.schema)
        self.reweighting: nn.Module | None = None
        self.classifier: nn.Linear | None = None
        self._inputs = 0
        if section.weight:
            inputs = model.embedding_size
            if section.reweighting:
                self.reweighting = AttributeReweighting(attributes)
                inputs += attributes
            self._inputs = inputs
            if persons:
                # without bias, as after a BNNeck (Luo et al. 2019)
                self.classifier = nn.Linear(inputs, persons, bias=False)
                nn.init.normal_(self.classifier.weight, std=0.001)

    def replace_persons(self, known: int, vectors: Tensor) -> None:
        """Forget all persons but the first `known`, and expect others where they are.

        Args:
            known: how many stay.
            vectors: embeddings of the others, normalised, shape (persons, D).
        """
        if not self._inputs:
            return
        weight = vectors.new_zeros(0, self._inputs)
        if self.classifier is not None:
            weight = self.classifier.weight.detach()[:known]
        length = weight.norm(dim=1).mean() if known else weight.new_tensor(_LENGTH)
        others = weight.new_zeros(len(vectors), weight.shape[1])
        others[:, : vectors.shape[1]] = length * vectors
        self.classifier = nn.Linear(weight.shape[1], known + len(vectors), bias=False)
        self.classifier.weight = nn.Parameter(torch.cat([weight, others]))

    def forward(self, crops: Tensor) -> TrainingOutputs:
        """Run the network.

        Args:
            crops: normalised float32 crops, shape (N, 3, height, width).
        """
        features = self.model.features(crops)
        necked = self.model.neck(features)
        attributes = self.model.attribute_logits(necked)
        if attributes is None:
            attributes = necked[:, :0]
        return TrainingOutputs(features, attributes, self._identities(necked, attributes))

    def _identities(self, necked: Tensor, attributes: Tensor) -> Tensor:
        if self.classifier is None:
            return necked[:, :0]
        if self.reweighting is not None:
            necked = torch.cat([necked, self.reweighting(attributes)], dim=1)
        return self.classifier(necked)  # type: ignore[no-any-return]

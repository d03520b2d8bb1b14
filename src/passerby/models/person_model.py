"""The network: a backbone, optional attention, pooling, a neck and the attribute head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from passerby.data.schema import Schema
from passerby.inference.model_info import Preprocessing
from passerby.models.architecture import Architecture
from passerby.models.attention import attention_block
from passerby.models.backbone import Backbone
from passerby.models.exclusive_groups import group_log_odds
from passerby.models.neck import NECKS
from passerby.models.pooling import POOLS


class Outputs(NamedTuple):
    """What the network answers for N crops.

    Attributes:
        embedding: L2-normalised, shape (N, D).
        attributes: logits, shape (N, attributes); None without attributes.
    """

    embedding: Tensor
    attributes: Tensor | None


class PersonModel(nn.Module):
    """Crops to embeddings and attribute logits.

    Attributes:
        architecture: what it was built from.
        schema: names the attribute outputs; None for a network without attributes.
        embedding_size: length D of the embedding: the features after the neck.
        preprocessing: from pixels to input.
    """

    def __init__(
        self, architecture: Architecture, schema: Schema | None, weights: str = "none"
    ) -> None:
        """Build the network.

        Args:
            architecture: its parts.
            schema: the attributes that it answers; None for none.
            weights: of the backbone: "pretrained", "none", or a local safetensors file.

        Raises:
            InputError: timm knows no such backbone, a part does not fit it, or its weights cannot
                be had.
        """
        super().__init__()
        self.architecture = architecture
        self.schema = schema
        attention = architecture.attention
        in_stages = attention.place == "stages"
        self.backbone = Backbone(
            architecture.backbone,
            architecture.size,
            weights,
            last_stride=architecture.last_stride,
            stage_attention=attention.kind if in_stages else "none",
            residual=attention.residual,
            style=architecture.style,
        )
        channels = self.backbone.channels
        self.embedding_size = architecture.embedding_size or channels
        self.attention = attention_block(
            "none" if in_stages else attention.kind, channels, attention.residual
        )
        self.pool = POOLS[architecture.pool]()
        self.projection: nn.Module = nn.Identity()
        if architecture.embedding_size:
            self.projection = nn.Linear(channels, self.embedding_size, bias=False)
            # distances stay as alike as they can
            nn.init.orthogonal_(self.projection.weight)
        self.neck = NECKS[architecture.neck](self.embedding_size)
        self.dropout = nn.Dropout(architecture.dropout)
        self.attribute_head: nn.Linear | None = None
        if schema is not None:
            self.attribute_head = nn.Linear(self.embedding_size, len(schema))
            nn.init.normal_(self.attribute_head.weight, std=0.01)
            nn.init.zeros_(self.attribute_head.bias)

    @property
    def preprocessing(self) -> Preprocessing:
        height, width = self.architecture.size
        return Preprocessing.model_validate(
            {
                "height": height,
                "width": width,
                "mean": self.backbone.mean,
                "std": self.backbone.std,
            }
        )

    def forward(self, crops: Tensor) -> Outputs:
        """Run the network.

        Args:
            crops: normalised float32 crops, shape (N, 3, height, width).
        """
        necked = self.neck(self.features(crops))
        return Outputs(
            embedding=functional.normalize(necked, dim=1),
            attributes=self.attribute_logits(necked),
        )

    def features(self, crops: Tensor) -> Tensor:
        """Return the features before the neck, shape (N, D)."""
        return self.projection(self.pool(self.attention(self.backbone(crops))))  # type: ignore[no-any-return]

    def attribute_logits(self, necked: Tensor) -> Tensor | None:
        """Return attribute logits of the features after the neck, (N, attributes), or None."""
        if self.attribute_head is None or self.schema is None:
            return None
        logits: Tensor = self.attribute_head(self.dropout(necked))
        if self.architecture.groups == "softmax":
            return group_log_odds(logits, self.schema.groups.values())
        return logits

    def freeze(self, stages: int) -> list[nn.Module]:
        """Keep the backbone's first stages as they are; return their layers.

        Raises:
            InputError: the backbone has fewer stages.
        """
        return self.backbone.freeze(stages)


@torch.inference_mode()
def outputs_of(model: PersonModel, crops: Tensor) -> Outputs:
    """Run a model as in use: evaluation mode, no gradients; its mode is restored."""
    training = model.training
    outputs = model.eval()(crops)
    model.train(training)
    return outputs  # type: ignore[no-any-return]

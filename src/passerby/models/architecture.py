"""What a `PersonModel` is built from, as a recipe's `model` section and `model.json` say it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Side = Annotated[int, Field(ge=16, le=2048)]


def _no_single_number(size: int) -> int:
    if size == 1:
        raise ValueError(
            "model.embedding_size is 1, but of one number only the sign is left: choose more"
        )
    return size


class Attention(BaseModel):
    """Attention on feature maps; blocks from timm.

    Attributes:
        kind: channel attention, spatial attention, or both, channel then spatial (CBAM, Woo et
            al., ECCV 2018); or non-local attention (Wang et al., CVPR 2018), which adds itself
            to its input and starts as the identity.
        place: "head", on the last feature map, before pooling and the classifier; "stages",
            after each of the backbone's last two stages.
        residual: x + w · attention(x) with w learnt from 0, so that training starts from the
            pretrained features untouched; otherwise attention(x), as in the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none", "channel", "spatial", "both", "non_local"] = "none"
    place: Literal["head", "stages"] = "head"
    residual: bool = False


class Style(BaseModel):
    """What is done against the style of a camera; see `models.style`.

    Attributes:
        input: how far each crop's colours are normalised over the crop, from 0 to 1.
        kind: what follows the first stages: a gated instance normalisation, or MixStyle, which is
            there while training only.
        stages: so many stages, from the input on, are followed by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(0.0, ge=0, le=1)
    kind: Literal["none", "instance_norm", "mixstyle"] = "none"
    stages: int = Field(2, ge=1)


class Architecture(BaseModel):
    """The network, without its weights.

    Attributes:
        backbone: any name that `timm.create_model` knows.
        size: height and width of the input in pixels.
        last_stride: 1 removes the last halving of the feature map (Luo et al., "Bag of Tricks
            and A Strong Baseline for Deep Person Re-identification", 2019).
        pool: average, or generalised mean with a learnt exponent (Radenović et al., 2018).
        embedding_size: length of the embedding, by a linear layer between pooling and neck; 0 keeps
            the backbone's features.
        neck: "batchnorm" puts a batch normalisation between pooling and the heads (BNNeck, Luo
            et al. 2019).
        dropout: probability of dropping a feature before the attribute head.
        groups: mutually exclusive attributes, such as the colours of the upper clothing, each have
            an "independent" probability, or share a "softmax".
        attention: see `Attention`.
        style: see `Style`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "resnet50.tv_in1k"
    size: tuple[Side, Side] = (256, 128)
    last_stride: Literal[1, 2] = 2
    pool: Literal["average", "gem"] = "average"
    embedding_size: Annotated[int, AfterValidator(_no_single_number)] = Field(0, ge=0, le=8192)
    neck: Literal["none", "batchnorm"] = "none"
    dropout: float = Field(0.0, ge=0, lt=1)
    groups: Literal["independent", "softmax"] = "independent"
    attention: Attention = Attention()
    style: Style = Style()

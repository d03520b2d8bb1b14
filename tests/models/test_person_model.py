import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from passerby.data import Attribute, Schema
from passerby.datasets.market1501_attributes import MARKET1501_ATTRIBUTES
from passerby.errors import InputError
from passerby.models import Architecture, Attention, PersonModel
from passerby.models.attention import ResidualAttention
from passerby.models.pooling import AveragePool, GeneralisedMeanPool

CROPS = torch.linspace(-1, 1, 2 * 3 * 64 * 32).view(2, 3, 64, 32)


def built(backbone: str = "test_resnet", weights: str = "none", **parts: object) -> PersonModel:
    torch.manual_seed(0)
    architecture = Architecture(backbone=backbone, size=(64, 32), **parts)
    return PersonModel(architecture, MARKET1501_ATTRIBUTES, weights).eval()


@pytest.mark.parametrize(
    "backbone", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"]
)
@pytest.mark.parametrize("pool", ["average", "gem"])
def test_any_backbone_answers_both_tasks(backbone: str, pool: str) -> None:
    model = built(backbone, pool=pool, neck="batchnorm")
    with torch.no_grad():
        outputs = model(CROPS)
    assert outputs.attributes.shape == (2, 32)
    assert outputs.embedding.shape == (2, model.embedding_size)
    torch.testing.assert_close(outputs.embedding.norm(dim=1), torch.ones(2))


def test_without_a_schema_there_is_no_attribute_head() -> None:
    architecture = Architecture(backbone="test_resnet", size=(64, 32), groups="softmax")
    model = PersonModel(architecture, None).eval()
    outputs = model(CROPS)
    assert outputs.attributes is None
    assert outputs.embedding.shape == (2, model.embedding_size)
    assert not any("attribute" in name for name in model.state_dict())


@pytest.mark.parametrize(
    ("backbone", "stride"),
    [("test_resnet", 1), ("resnet10t", 1), ("tf_efficientnet_lite0", 1), ("mobilenetv2_100", 1)],
)
def test_the_last_stride_doubles_the_map(backbone: str, stride: int) -> None:
    with torch.no_grad():
        usual = built(backbone).backbone(CROPS)
        larger = built(backbone, last_stride=stride).backbone(CROPS)
    assert larger.shape[:2] == usual.shape[:2]
    assert larger.shape[2] == 2 * usual.shape[2]
    assert larger.shape[3] == 2 * usual.shape[3]


def test_a_transformer_has_no_stride_to_remove() -> None:
    with pytest.raises(InputError, match=r"model\.last_stride is 1, but test_vit halves no map"):
        built("test_vit", last_stride=1)


@pytest.mark.parametrize("place", ["head", "stages"])
@pytest.mark.parametrize("kind", ["channel", "spatial", "both"])
def test_attention_changes_the_answer_and_learns(kind: str, place: str) -> None:
    model = built(attention=Attention(kind=kind, place=place))
    plain = built()
    outputs = model(CROPS).attributes
    assert not torch.equal(outputs, plain(CROPS).attributes)
    outputs.sum().backward()
    names = [n for n, _ in model.named_parameters() if n not in dict(plain.named_parameters())]
    added = [p for n, p in model.named_parameters() if n in names and ("fc" in n or "conv" in n)]
    assert added
    assert all(p.grad is not None for p in added)


@pytest.mark.parametrize("place", ["head", "stages"])
def test_residual_attention_starts_as_the_identity(place: str) -> None:
    model = built(attention=Attention(kind="both", place=place, residual=True))
    before = model(CROPS).attributes
    for module in model.modules():
        if isinstance(module, ResidualAttention):
            nn.init.normal_(module.block.channel.fc1.weight)
    torch.testing.assert_close(model(CROPS).attributes, before)
    blocks = [m for m in model.modules() if isinstance(m, ResidualAttention)]
    assert len(blocks) == (1 if place == "head" else 2)
    model(CROPS).attributes.sum().backward()
    assert all(block.weight.grad is not None and block.weight.grad != 0 for block in blocks)


def test_attention_in_stages_needs_stages() -> None:
    with pytest.raises(InputError, match="test_vit has no stages of feature maps: place it at"):
        built("test_vit", attention=Attention(kind="both", place="stages"))


def test_generalised_mean_by_hand() -> None:
    pool = GeneralisedMeanPool(p=3)
    values = torch.tensor([1.0, 2.0, 0.0, 3.0]).view(1, 1, 2, 2)
    torch.testing.assert_close(pool(values), torch.tensor([[((1 + 8 + 27) / 4) ** (1 / 3)]]))
    torch.testing.assert_close(GeneralisedMeanPool(p=1)(values), AveragePool()(values))


@pytest.mark.parametrize(
    ("backbone", "early"),
    [
        ("test_resnet", ("conv1.", "bn1.")),
        ("test_efficientnet", ("conv_stem.", "bn1.", "blocks.0.")),
        ("test_vit", ("cls_token", "pos_embed", "patch_embed.", "blocks.0.")),
    ],
)
def test_frozen_stages_keep_their_weights(backbone: str, early: tuple[str, ...]) -> None:
    model = built(backbone)
    frozen = model.freeze(1)
    prefixes = tuple(f"backbone.network.{part}" for part in early)
    for name, weight in model.named_parameters():
        assert weight.requires_grad != name.startswith(prefixes), name
    for prefix in prefixes:
        assert any(name.startswith(prefix) for name, _ in model.named_parameters()), prefix
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module in frozen) == f"{name}.".startswith(prefixes), name
    model(CROPS).attributes.sum().backward()
    assert all(p.grad is None for module in frozen for p in module.parameters())
    assert model.attribute_head.weight.grad is not None
    assert len(built(backbone).freeze(2)) > len(frozen)
    assert built(backbone).freeze(0) == []


def test_too_many_frozen_stages() -> None:
    with pytest.raises(InputError, match=r"model\.frozen_stages is 9, but the backbone has"):
        built().freeze(9)


@pytest.mark.parametrize(("backbone", "size"), [("test_vit", (63, 31)), ("test_vit", (16, 8))])
def test_a_size_that_the_backbone_does_not_take(backbone: str, size: tuple[int, int]) -> None:
    architecture = Architecture.model_construct(
        **{**Architecture().__dict__, "backbone": backbone, "size": size}
    )
    with pytest.raises(
        InputError, match=r"model\.size is .* the backbone 'test_vit' gives no feature map"
    ):
        PersonModel(architecture, MARKET1501_ATTRIBUTES)


def test_an_unknown_backbone() -> None:
    with pytest.raises(
        InputError, match=r"'resnet5' is not a model of timm: did you mean .*resnet5"
    ):
        built("resnet5")


class TestWeights:
    def test_a_local_file(self, tmp_path) -> None:
        source = built()
        path = tmp_path / "w.safetensors"
        tensors = dict(source.backbone.network.state_dict())
        save_file({**tensors, "fc.weight": torch.ones(3)}, path)
        torch.manual_seed(5)
        loaded = PersonModel(source.architecture, MARKET1501_ATTRIBUTES, str(path)).eval()
        with torch.no_grad():
            torch.testing.assert_close(loaded.backbone(CROPS), source.backbone(CROPS))

    def test_a_transformers_positions_are_resampled(self, tmp_path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(timm.create_model("test_vit", pretrained=False).state_dict(), path)
        network = built("test_vit", weights=str(path)).backbone.network
        assert network.patch_embed.grid_size == (4, 2)
        assert network.pos_embed.shape[1] == 4 * 2 + network.num_prefix_tokens

    def test_a_pickle_is_refused(self, tmp_path) -> None:
        (tmp_path / "w.pth").touch()
        with pytest.raises(InputError, match="only safetensors files are read"):
            built(weights=str(tmp_path / "w.pth"))

    def test_a_missing_file(self, tmp_path) -> None:
        with pytest.raises(InputError, match=r"w\.safetensors does not exist"):
            built(weights=str(tmp_path / "w.safetensors"))

    def test_weights_of_another_backbone(self, tmp_path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(dict(built("test_efficientnet").backbone.network.state_dict()), path)
        with pytest.raises(InputError, match="choose the weights of this very backbone"):
            built(weights=str(path))

    def test_a_file_cut_in_half(self, tmp_path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(dict(built().backbone.network.state_dict()), path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(InputError, match="is damaged"):
            built(weights=str(path))

    def test_no_network_to_download_from(self) -> None:
        with pytest.raises(InputError, match="check the network, or give model.weights a local"):
            built("test_vit2.r160_in1k", weights="pretrained")


def test_groups_are_the_schemas() -> None:
    """Any names and any places; what is in no group keeps its own logit."""
    alone = Attribute("Skirt&Dress")
    group = [Attribute(name, group="carries") for name in ("Bag", "Box", "nothing at all")]
    schema = Schema((alone, *group))
    torch.manual_seed(0)
    model = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), schema).eval()
    softmax = PersonModel(model.architecture.model_copy(update={"groups": "softmax"}), schema)
    softmax.load_state_dict(model.state_dict())
    plain, shared = model(CROPS).attributes, softmax.eval()(CROPS).attributes
    torch.testing.assert_close(shared[:, 0], plain[:, 0])
    torch.testing.assert_close(shared[:, 1:].sigmoid(), plain[:, 1:].softmax(dim=1))


def test_exclusive_attributes_can_share_a_softmax() -> None:
    probabilities = built(groups="softmax")(CROPS).attributes.sigmoid()
    independent = built()(CROPS).attributes
    for group in MARKET1501_ATTRIBUTES.groups.values():
        torch.testing.assert_close(probabilities[:, group], independent[:, group].softmax(dim=1))
    alone = MARKET1501_ATTRIBUTES.index("backpack")
    torch.testing.assert_close(probabilities[:, alone], independent[:, alone].sigmoid())

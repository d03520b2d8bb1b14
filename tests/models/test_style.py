import numpy as np
import pytest
import torch

from passerby.errors import InputError
from passerby.models import Architecture, PersonModel
from passerby.models.person_model import outputs_of
from passerby.models.style import GatedInstanceNorm, InputNorm, MixStyle


def crops(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 5, 6, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("gate", "share"), [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25), (7.0, 1.0)])
def test_a_gate_mixes_a_channel_with_its_normalised_self(gate: float, share: float) -> None:
    x = crops()
    norm = GatedInstanceNorm(5)
    with torch.no_grad():
        norm.gate.fill_(gate)
    values = x.numpy().astype(np.float64)
    mean = values.mean((2, 3), keepdims=True)
    normal = (values - mean) / np.sqrt(values.var((2, 3), keepdims=True) + 1e-5)
    expected = (1 - share) * values + share * normal
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, atol=1e-5)


def test_the_input_is_partly_normalised() -> None:
    x = crops()[:, :3] * 2 + 1
    values = x.numpy().astype(np.float64)
    mean = values.mean((2, 3), keepdims=True)
    normal = (values - mean) / np.sqrt(values.var((2, 3), keepdims=True) + 1e-5)
    expected = 0.7 * values + 0.3 * normal
    np.testing.assert_allclose(InputNorm(0.3)(x).numpy(), expected, atol=1e-5)


def test_wholly_normalised_a_lamp_does_not_matter() -> None:
    """Each colour brightened and its contrast changed: the same embedding."""
    style = {"input": 1.0}
    architecture = Architecture(backbone="test_resnet", size=(64, 32), style=style)
    torch.manual_seed(0)
    model = PersonModel(architecture, None)
    x = torch.randn(2, 3, 64, 32)
    lamp = torch.tensor([0.5, 1.5, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(
        outputs_of(model, x * lamp + 0.3).embedding,
        outputs_of(model, x).embedding,
        atol=1e-3,
        rtol=1e-3,
    )
    plain = PersonModel(Architecture(backbone="test_resnet", size=(64, 32)), None)
    assert not any("input_norm" in name for name in plain.state_dict())


def test_mixing_styles_keeps_what_is_normalised() -> None:
    """Mean and deviation of each crop lie between those of two crops; the rest is as it was."""
    torch.manual_seed(3)
    x, mix = crops(16) * 3 + 1, MixStyle(5).train()
    mix.probability = 1.0
    y = mix(x)
    assert not torch.equal(x, y)

    def normal(values: torch.Tensor) -> torch.Tensor:
        mean, deviation = values.mean((2, 3), keepdim=True), values.std((2, 3), keepdim=True)
        return (values - mean) / deviation

    torch.testing.assert_close(normal(y), normal(x), atol=1e-3, rtol=1e-3)
    means, before = y.mean((2, 3)), x.mean((2, 3))
    assert (means >= before.min(dim=0).values - 1e-5).all()
    assert (means <= before.max(dim=0).values + 1e-5).all()


def test_in_use_nothing_is_mixed() -> None:
    x, mix = crops(), MixStyle(5).eval()
    mix.probability = 1.0
    assert torch.equal(mix(x), x)


@pytest.mark.parametrize("kind", ["instance_norm", "mixstyle"])
def test_it_follows_the_first_stages(kind: str) -> None:
    style = {"kind": kind, "stages": 2}
    architecture = Architecture(backbone="test_resnet", size=(64, 32), style=style)
    model = PersonModel(architecture, None)
    blocks = [m for m in model.modules() if isinstance(m, GatedInstanceNorm | MixStyle)]
    assert len(blocks) == 2
    assert outputs_of(model, torch.randn(2, 3, 64, 32)).embedding.shape == (2, model.embedding_size)


def test_more_stages_than_there_are() -> None:
    style = {"kind": "mixstyle", "stages": 9}
    with pytest.raises(InputError, match=r"model\.style is for 9 stages of feature maps, which"):
        PersonModel(Architecture(backbone="test_resnet", size=(64, 32), style=style), None)


def test_the_length_of_the_embedding_is_chosen() -> None:
    architecture = Architecture(
        backbone="test_resnet", size=(64, 32), neck="batchnorm", embedding_size=16
    )
    model = PersonModel(architecture, None)
    assert model.embedding_size == 16
    x = torch.randn(3, 3, 64, 32)
    embedding = outputs_of(model, x).embedding
    assert embedding.shape == (3, 16)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))
    # a linear map before the neck, whose rows are at right angles
    weight = model.projection.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        pooled = model.eval().pool(model.backbone(x))
        torch.testing.assert_close(model.features(x), pooled @ weight.T)

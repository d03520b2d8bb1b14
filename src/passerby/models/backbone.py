"""Any timm backbone as a source of feature maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from passerby.errors import InputError
from passerby.models.architecture import Style
from passerby.models.attention import attention_block
from passerby.models.style import STYLES, InputNorm
from passerby.models.tensor_file import read_weights

_NO_STYLE = Style()
_DOWNSAMPLING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class Backbone(nn.Module):
    """A timm model without its classifier: crops to feature maps.

    Attributes:
        channels: of the feature map.
        mean, std: the normalisation that its ImageNet weights expect, three values each.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        weights: str = "none",
        *,
        last_stride: int = 2,
        stage_attention: str = "none",
        residual: bool = False,
        style: Style = _NO_STYLE,
    ) -> None:
        """Build the backbone and load its weights.

        Args:
            name: timm's name of the model.
            size: (height, width) of the crops.
            weights: "pretrained" (timm downloads them), "none" (random), or a local safetensors
                file with timm's parameter names.
            last_stride: 1 removes the last halving of the map.
            stage_attention: kind of attention after each of the last two stages.
            residual: see `attention_block`.
            style: what is done against the style of a camera.

        Raises:
            InputError: timm knows no such model, or the weights cannot be had or do not fit.
        """
        super().__init__()
        network = _create(name, weights)
        self.network = network
        self.input_norm = InputNorm(style.input) if style.input else nn.Identity()
        if weights not in ("pretrained", "none"):
            _load_weights(network, Path(weights))
        # after loading: this is where a transformer's position embeddings are resampled
        if hasattr(network, "set_input_size"):
            self._attempt(lambda: network.set_input_size(img_size=size), size, "model.size", name)
        self.check_size(size, "model.size", name)
        self.mean: tuple[float, ...] = tuple(network.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(network.pretrained_cfg["std"])
        self.channels: int = network.num_features
        if last_stride == 1:
            _remove_last_stride(self.network, size, name)
        if style.kind != "none":
            _follow_first_stages(self.network, style, name)
        if stage_attention != "none":
            _attend_last_stages(self.network, stage_attention, residual, name)

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps, (N, 3, height, width) to (N, channels, H, W)."""
        features = self.network.forward_features(self.input_norm(x))
        if features.ndim == 3:
            return self._tokens_to_map(features)
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features

    def _tokens_to_map(self, tokens: Tensor) -> Tensor:
        rows, columns = self.network.patch_embed.grid_size
        patches = tokens[:, self.network.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, (rows, columns))

    def check_size(self, size: tuple[int, int], key: str, name: str) -> None:
        """Try whether the network takes crops of a size.

        Args:
            size: height and width.
            key: of the recipe, where it is said.
            name: of the backbone.

        Raises:
            InputError: it does not.
        """
        training = self.training

        def try_it() -> None:
            with torch.no_grad():
                _, _, _, _ = self.eval()(torch.zeros(1, 3, *size)).shape

        self._attempt(try_it, size, key, name)
        self.train(training)

    def _attempt(
        self, work: Callable[[], object], size: tuple[int, int], key: str, name: str
    ) -> None:
        try:
            work()
        except (AssertionError, RuntimeError, ValueError, AttributeError, TypeError) as error:
            reason = str(error).splitlines()[0].rstrip(".") if str(error) else "no reason given"
            raise InputError(
                f"{key} is {list(size)}, for which the backbone {name!r} gives no feature map "
                f"({reason}): choose another size or another backbone."
            ) from error

    def freeze(self, stages: int) -> list[nn.Module]:
        """Keep the first stages, and what comes before them, as they are; return their layers.

        Raises:
            InputError: the backbone has fewer stages, or does not name them.
        """
        frozen = self._early_layers(stages)
        for layer in frozen:
            layer.requires_grad_(False)
        if frozen:
            # a transformer's tokens and position embeddings belong to no layer
            for parameter in self.network.parameters(recurse=False):
                parameter.requires_grad_(False)
        return frozen

    def _early_layers(self, stages: int) -> list[nn.Module]:
        """Return the layers up to the end of the given number of stages, in order."""
        if not stages:
            return []
        infos = _stages(self.network)
        if stages > len(infos):
            raise InputError(
                f"model.frozen_stages is {stages}, but the backbone has {len(infos)} stages: "
                f"choose at most {len(infos)}."
            )
        last = infos[stages - 1]["module"]
        early: list[nn.Module] = []
        inside = False
        for name, module in self.network.named_modules():
            belongs = name == last or name.startswith(f"{last}.")
            if inside and not belongs:
                break
            inside = belongs
            # the network itself comes first, under no name
            if name and _holds_weights(module):
                early.append(module)
        return early


def _holds_weights(module: nn.Module) -> bool:
    """Tell whether a module has weights of its own; timm's BatchNormAct2d has children too."""
    return next(module.parameters(recurse=False), None) is not None


def _create(name: str, weights: str) -> Any:
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('.')[0]}*")[:5]
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()."
        raise InputError(f"model.backbone {name!r} is not a model of timm: {hint}")
    try:
        return timm.create_model(name, pretrained=weights == "pretrained", num_classes=0)
    except Exception as error:
        # The Hub's client, urllib and timm itself raise whatever a missing network leads to.
        raise InputError(
            f"The backbone {name!r} with model.weights = {weights!r} cannot be had "
            f"({type(error).__name__}: {str(error).splitlines()[0]}): check the network, or give "
            "model.weights a local safetensors file."
        ) from error


def _load_weights(network: nn.Module, path: Path) -> None:
    if path.exists() and path.suffix != ".safetensors":
        raise InputError(
            f"model.weights is {str(path)!r}: only safetensors files are read, since unpickling "
            "can run any code; convert it, or choose 'pretrained' or 'none'."
        )
    if not path.is_file():
        raise InputError(
            f"model.weights: {path} does not exist: give a safetensors file, a run, 'pretrained' "
            "or 'none'."
        )
    try:
        tensors = read_weights(path)
    except (SafetensorError, ValueError) as error:
        raise InputError(f"model.weights: {path} is damaged ({error}): get it again.") from error
    try:
        result = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"model.weights: {path} holds other shapes than the backbone: "
            "choose the weights of this very backbone."
        ) from error
    if result.missing_keys:
        raise InputError(
            f"model.weights: {path} lacks {len(result.missing_keys)} tensors of the backbone, "
            f"{result.missing_keys[0]} first: choose the weights of this very backbone."
        )


def _stages(network: nn.Module) -> list[dict[str, Any]]:
    infos = getattr(network, "feature_info", None)
    if infos is None:
        raise InputError("This backbone names no stages: leave out what depends on them.")
    return list(getattr(infos, "info", infos))


def _remove_last_stride(network: Any, size: tuple[int, int], name: str) -> None:
    """Let the layers that halve the map last keep its size."""
    halvings = _halvings(network, size)
    heights = sorted(set(halvings.values()))
    if len(heights) < 2:
        raise InputError(
            f"model.last_stride is 1, but {name} halves no map step by step: leave it at 2."
        )
    for layer, height in halvings.items():
        if height == heights[0]:
            _keep_size(network, layer)


def _halvings(network: Any, size: tuple[int, int]) -> dict[str, int]:
    """Return the layers that make the map smaller, and the height that they leave."""
    found: dict[str, int] = {}

    def note(name: str, inputs: Tensor, output: Tensor) -> None:
        if output.shape[-2] < inputs.shape[-2]:
            found[name] = output.shape[-2]

    handles = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: note(name, inputs[0], output)
        )
        for name, module in network.named_modules()
        if isinstance(module, _DOWNSAMPLING)
    ]
    training = network.training
    with torch.no_grad():
        network.eval().forward_features(torch.zeros(1, 3, *size))
    network.train(training)
    for handle in handles:
        handle.remove()
    return found


def _keep_size(network: nn.Module, layer: str) -> None:
    module = network.get_submodule(layer)
    if isinstance(module, nn.AvgPool2d):
        # an average over disjoint windows has no counterpart with a stride of 1
        parent, _, name = layer.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())
    else:
        module.stride = (1, 1)  # type: ignore[assignment]


def _attend_last_stages(network: nn.Module, kind: str, residual: bool, name: str) -> None:
    infos = _stages(network)
    if len(infos) < 2 or getattr(network, "patch_embed", None) is not None:
        raise InputError(
            f"model.attention.place is 'stages', but {name} has no stages of feature maps: "
            "place it at the 'head'."
        )
    for info in infos[-2:]:
        _follow(network, info["module"], attention_block(kind, info["num_chs"], residual))


def _follow_first_stages(network: nn.Module, style: Style, name: str) -> None:
    infos = _stages(network)
    if getattr(network, "patch_embed", None) is not None or len(infos) < style.stages:
        raise InputError(
            f"model.style is for {style.stages} stages of feature maps, which {name} does not "
            "have: leave it out, or choose fewer."
        )
    for info in infos[: style.stages]:
        _follow(network, info["module"], STYLES[style.kind](info["num_chs"]))


def _follow(network: nn.Module, stage: str, block: nn.Module) -> None:
    """Let a block follow a stage."""
    parent_name, _, own_name = stage.rpartition(".")
    parent = network.get_submodule(parent_name)
    setattr(parent, own_name, nn.Sequential(parent.get_submodule(own_name), block))

"""Gradients of depthwise convolutions in bfloat16, against float64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from passerby.training.depthwise import DepthwiseGradients

SHAPES = (
    # height, width, kernel, stride, padding
    (8, 4, 5, 1, 2),
    (12, 8, 5, 1, 0),
    (5, 7, 3, 1, 1),
    (16, 9, 3, 2, 1),
    (15, 8, 5, 2, 2),
    (33, 17, 5, 1, 2),
    (6, 5, 4, 1, 1),
)


@pytest.mark.parametrize(("height", "width", "kernel", "stride", "padding"), SHAPES)
def test_close_to_double_precision(
    height: int, width: int, kernel: int, stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(4, 6, height, width, dtype=torch.bfloat16)
    weights = torch.randn(6, 1, kernel, kernel, dtype=torch.bfloat16)

    def found(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        x, w = (t.to(dtype, copy=True).requires_grad_() for t in (inputs, weights))
        y = functional.conv2d(x, w, None, stride, padding, groups=6)
        y.backward(torch.linspace(-1, 2, y.numel(), dtype=torch.bfloat16).view_as(y).to(dtype))
        assert x.grad is not None
        assert w.grad is not None
        assert x.grad.dtype == w.grad.dtype == dtype
        return x.grad, w.grad

    with DepthwiseGradients():
        ours = found(torch.bfloat16)
    for mine, exact in zip(ours, found(torch.float64), strict=True):
        # bfloat16 keeps 8 bits
        torch.testing.assert_close(mine.double(), exact, rtol=0.02, atol=0.01 * exact.abs().max())


@pytest.mark.parametrize("frozen", ["inputs", "weights"])
def test_only_what_is_wanted(frozen: str) -> None:
    inputs = torch.ones(1, 2, 6, 6, dtype=torch.bfloat16, requires_grad=frozen != "inputs")
    weights = torch.ones(2, 1, 5, 5, dtype=torch.bfloat16, requires_grad=frozen != "weights")
    with DepthwiseGradients():
        functional.conv2d(inputs, weights, groups=2).sum().backward()
    if frozen == "inputs":
        assert inputs.grad is None
        # each tap of a 5×5 kernel sees 2×2 positions of a 6×6 map
        assert weights.grad is not None
        assert torch.equal(weights.grad, torch.full_like(weights, 4))
    else:
        assert weights.grad is None
        # a corner is seen by one output, the middle by all four
        assert inputs.grad is not None
        assert inputs.grad[0, 0, 0, 0] == 1
        assert inputs.grad[0, 0, 2, 2] == 4


@pytest.mark.parametrize(
    ("dtype", "groups", "bias"),
    [(torch.float32, 4, False), (torch.bfloat16, 1, False), (torch.bfloat16, 4, True)],
)
def test_everything_else_is_left_to_torch(dtype: torch.dtype, groups: int, bias: bool) -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(4, 4, 5, padding=2, groups=groups, bias=bias, dtype=dtype)
    inputs = torch.randn(2, 4, 8, 4, dtype=dtype)

    def gradient() -> Tensor:
        convolution.zero_grad()
        convolution(inputs).square().sum().backward()
        assert convolution.weight.grad is not None
        return convolution.weight.grad.clone()

    expected = gradient()
    with DepthwiseGradients():
        assert torch.equal(gradient(), expected)

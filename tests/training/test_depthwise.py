"""Gradients of depthwise convolutions in bfloat16, against float64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from passerby.training.depthwise import DepthwiseGradients

Pair = tuple[int, int]

SHAPES: tuple[tuple[Pair, Pair, Pair, Pair], ...] = (
    # size, kernel, stride, padding
    ((8, 4), (5, 5), (1, 1), (2, 2)),
    ((12, 8), (5, 5), (1, 1), (0, 0)),
    ((5, 7), (3, 3), (1, 1), (1, 1)),
    ((16, 9), (3, 3), (2, 2), (1, 1)),
    ((15, 8), (5, 5), (2, 2), (2, 2)),
    ((33, 17), (5, 5), (1, 1), (2, 2)),
    ((6, 5), (4, 4), (1, 1), (1, 1)),
    ((6, 9), (1, 7), (1, 1), (0, 3)),
    ((9, 6), (5, 3), (1, 1), (0, 2)),
    ((9, 6), (5, 3), (1, 2), (2, 1)),
    # further out than the kernel reaches
    ((6, 5), (3, 3), (1, 1), (3, 3)),
)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), SHAPES)
def test_close_to_double_precision(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(4, 6, *size, dtype=torch.bfloat16).contiguous(memory_format=layout)
    weights = torch.randn(6, 1, *kernel, dtype=torch.bfloat16).contiguous(memory_format=layout)

    def found(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        x, w = (t.to(dtype, copy=True).requires_grad_() for t in (inputs, weights))
        y = functional.conv2d(x, w, None, stride, padding, groups=6)
        y.backward(torch.linspace(-1, 2, y.numel(), dtype=torch.bfloat16).view(y.shape).to(dtype))
        assert x.grad is not None
        assert w.grad is not None
        assert x.grad.dtype == w.grad.dtype == dtype
        return x.grad, w.grad

    with DepthwiseGradients():
        ours = found(torch.bfloat16)
    for mine, exact in zip(ours, found(torch.float64), strict=True):
        # bfloat16 keeps 8 bits
        torch.testing.assert_close(mine.double(), exact, rtol=0.02, atol=0.01 * exact.abs().max())


def test_a_kernels_gradient_lies_in_memory_as_the_kernel() -> None:
    convolution = torch.nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False, dtype=torch.bfloat16)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = torch.ones(2, 6, 8, 4, dtype=torch.bfloat16)
    with DepthwiseGradients():
        convolution(inputs).sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.stride() == convolution.weight.stride() != (25, 25, 5, 1)


def test_padding_given_once() -> None:
    inputs = torch.ones(1, 2, 6, 6, dtype=torch.bfloat16)
    weights = torch.ones(2, 1, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    with DepthwiseGradients():
        functional.conv2d(inputs, weights, padding=[2], groups=2).sum().backward()
    assert weights.grad is not None
    assert weights.grad[0, 0, 2, 2] == 36


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
    ("dtype", "groups", "options"),
    [
        (torch.float32, 4, {}),
        (torch.bfloat16, 1, {}),
        (torch.bfloat16, 4, {"bias": True}),
        (torch.bfloat16, 4, {"dilation": 2}),
        (torch.bfloat16, 4, {"out_channels": 8}),
    ],
)
def test_everything_else_is_left_to_torch(
    dtype: torch.dtype, groups: int, options: dict[str, int]
) -> None:
    torch.manual_seed(0)
    made = {"in_channels": 4, "out_channels": 4, "kernel_size": 5, "bias": False, **options}
    convolution = torch.nn.Conv2d(**made, padding=2, groups=groups, dtype=dtype)  # type: ignore[arg-type]
    inputs = torch.randn(2, 4, 12, 8, dtype=dtype)

    def gradient() -> Tensor:
        convolution.zero_grad()
        convolution(inputs).square().sum().backward()
        assert convolution.weight.grad is not None
        return convolution.weight.grad.clone()

    expected = gradient()
    with DepthwiseGradients():
        assert torch.equal(gradient(), expected)

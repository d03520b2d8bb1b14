"""Gradients of depthwise convolutions in bfloat16, on CPUs, without torch's slow paths."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

_BACKWARD = torch.ops.aten.convolution_backward.default
_SMALL = 256
"""Positions of a map up to which a kernel's gradient is computed as matrix products."""


class DepthwiseGradients(TorchDispatchMode):
    """Within it, a backward pass computes depthwise convolutions' gradients in other ways.

    For bfloat16 torch 2.15 falls back on loops: of an EfficientNet's backward pass at 128×64 pixels
    nine tenths are spent in its 16 depthwise convolutions. The same sums are taken here otherwise:

    - gradients of inputs, at a stride of one: a convolution with the kernel turned round;
    - gradients of kernels wider than three, on small maps: a matrix product for each channel;
    - of such kernels on larger maps, and of everything at a larger stride: in float32.

    What torch does well is left to it: smaller kernels' gradients, convolutions that are not
    depthwise, that are dilated or have a bias, and other precisions.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is _BACKWARD and _is_ours(*args):
            return _gradients(*args)
        return func(*args, **(kwargs or {}))


def _is_ours(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Tensor,
    bias: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    wanted: list[bool],
) -> bool:
    if inputs.dtype != torch.bfloat16 or inputs.ndim != 4 or len(padding) != 2:
        return False
    depthwise = groups == inputs.shape[1] == kernel.shape[0] > 1
    plain = max(dilation) == 1 and not transposed and not wanted[2]
    # more padding than the kernel reaches would be less than none, turned round
    reached = all(p < k for p, k in zip(padding, kernel.shape[2:], strict=True))
    return depthwise and plain and reached


def _gradients(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Tensor,
    bias: list[int] | None,
    stride: list[int],
    padding: list[int],
    *rest: Any,
) -> tuple[Tensor | None, Tensor | None, None]:
    """Return the gradients of the inputs and of the kernel; None where not wanted."""
    *options, groups, wanted = rest
    arguments = (bias, stride, padding, *options, groups)
    if max(stride) > 1:
        of_inputs, of_kernel = _in_float32(gradient, inputs, kernel, *arguments, wanted)
        return of_inputs, of_kernel, None
    of_inputs = of_kernel = None
    if wanted[0]:
        rows, columns = kernel.shape[2:]
        around = (rows - 1 - padding[0], columns - 1 - padding[1])
        of_inputs = functional.conv2d(gradient, kernel.flip(2, 3), padding=around, groups=groups)
    if wanted[1] and max(kernel.shape[2:]) <= 3:
        _, of_kernel, _ = _BACKWARD(gradient, inputs, kernel, *arguments, [False, True, False])
    elif wanted[1] and gradient.shape[2] * gradient.shape[3] <= _SMALL:
        of_kernel = _of_kernel(gradient, inputs, kernel, padding)
    elif wanted[1]:
        _, of_kernel = _in_float32(gradient, inputs, kernel, *arguments, [False, True, False])
    return of_inputs, of_kernel, None


def _in_float32(
    gradient: Tensor, inputs: Tensor, kernel: Tensor, *arguments: Any
) -> tuple[Tensor | None, Tensor | None]:
    found = _BACKWARD(gradient.float(), inputs.float(), kernel.float(), *arguments)
    of_inputs, of_kernel = (None if part is None else part.bfloat16() for part in found[:2])
    return of_inputs, of_kernel


def _of_kernel(gradient: Tensor, inputs: Tensor, kernel: Tensor, padding: list[int]) -> Tensor:
    """Multiply every input position with every output position, and add up what a tap joins."""
    by_channel = inputs.permute(1, 2, 3, 0).flatten(1, 2)
    products = torch.bmm(by_channel, gradient.permute(1, 0, 2, 3).flatten(2))
    taps = _taps(inputs.shape[2:], gradient.shape[2:], kernel.shape[2:], tuple(padding))
    found = products.flatten(1) @ taps.to(products.dtype)
    # in the kernel's own memory format, which gathering gradients relies on
    return torch.empty_like(kernel).copy_(found.view(kernel.shape))


@lru_cache(64)
def _taps(
    inputs: tuple[int, int],
    outputs: tuple[int, int],
    kernel: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Return which tap joins an input position to an output position, or none.

    One row for each pair of positions, one column for each tap.
    """
    row, column = (
        torch.arange(i)[:, None] - torch.arange(o)[None] + p
        for i, o, p in zip(inputs, outputs, padding, strict=True)
    )
    rows, columns = kernel
    one_row = functional.one_hot(row.clamp(-1, rows) + 1, rows + 2)[..., 1:-1]
    one_column = functional.one_hot(column.clamp(-1, columns) + 1, columns + 2)[..., 1:-1]
    both = torch.einsum("iok,jpl->ijopkl", one_row, one_column)
    return both.reshape(-1, rows * columns).float()

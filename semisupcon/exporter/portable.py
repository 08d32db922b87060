"""Copies of encoders whose operators can be exported with any number and length of waveforms.

Some modules of the encoders depend on the length in a way that `torch.export` fixes to the length
of its example. The copy has replacements that compute the same values: pooling, the halving
shortcut of adapter blocks, and the Fourier transform, which becomes a convolution. The weights are
the same.
"""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, relu

from semisupcon.encoders.adapters import AdapterBlock
from semisupcon.encoders.tuneplus import WholeBlocks
from semisupcon.frontends.mel_base import MelFrontend

Model = TypeVar("Model", bound=nn.Module)
OPSET = 20  # version of the operators of ONNX
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)


class Windows(nn.Module):
    """Max- or average-pooling over 1 or 2 dimensions, with windows as views of the input.

    Args:
        kernel, stride, padding: one number per dimension.
        mean: whether to average; averages have no padding.
    """

    def __init__(self, kernel: list[int], stride: list[int], padding: list[int], mean: bool):
        super().__init__()
        self.kernel, self.stride, self.padding, self.mean = kernel, stride, padding, mean

    def forward(self, x: Tensor) -> Tensor:
        sides = [side for amount in reversed(self.padding) for side in (amount, amount)]
        if any(sides):
            x = pad(x, sides, value=float("-inf"))
        for dim, (size, step) in enumerate(zip(self.kernel, self.stride, strict=True), start=2):
            windows = x.unfold(dim, size, step)
            x = windows.mean(dim=-1) if self.mean else windows.amax(dim=-1)
        return x


class OnnxWindows(Windows):
    """Pooling as an operator of ONNX. This module can be exported, not run."""

    def forward(self, x: Tensor) -> Tensor:
        each = zip(x.shape[2:], self.kernel, self.stride, self.padding, strict=True)
        lengths = [(length + 2 * p - size) // step + 1 for length, size, step, p in each]
        options: dict[str, Any] = {
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": [*self.padding, *self.padding],
        }
        return torch.onnx.ops.symbolic(
            "AveragePool" if self.mean else "MaxPool",
            (x,),
            options,
            dtype=x.dtype,
            shape=(*x.shape[:2], *lengths),
            version=OPSET,
        )


class Blocks(nn.Module):
    """`WholeBlocks` as a selection of samples."""

    def __init__(self, block: int):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        samples = x.shape[-1] // self.block * self.block
        return x.index_select(-1, torch.arange(samples, device=x.device))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of ``[N, C, bands, F]``, without a change of layout."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        scale = (centred.square().mean(dim=1, keepdim=True) + self.norm.eps).rsqrt()
        weight, bias = self.norm.weight[:, None, None], self.norm.bias[:, None, None]
        return centred * scale * weight + bias


class Pointwise(nn.Module):
    """A linear layer on the channels of ``[N, C, bands, F]``."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.linear.weight[:, :, None, None], self.linear.bias)


class HalvingBlock(nn.Module):
    """An `AdapterBlock` whose shortcut halves even and odd lengths with the same operators."""

    def __init__(self, block: AdapterBlock):
        super().__init__()
        self.first, self.second = block.first, block.second
        self.halves = max(block.first.conv.stride) > 1  # type: ignore[arg-type]  # numbers

    def forward(self, streams: list[Tensor], sets: list[int]) -> list[Tensor]:
        hidden = [relu(y) for y in self.first(streams, sets)]
        outputs = self.second(hidden, sets)
        return [relu(y + self.shortcut(x, y)) for x, y in zip(streams, outputs, strict=True)]

    def shortcut(self, x: Tensor, like: Tensor) -> Tensor:
        if self.halves:
            for dim in range(2, x.dim()):
                x = halved(x, dim)
        missing = like.shape[1] - x.shape[1]
        return pad(x, (0, 0) * (x.dim() - 2) + (0, missing)) if missing else x


def halved(x: Tensor, dim: int) -> Tensor:
    """Halve one length of ``[N, C, ...]`` by averaging, as `semisupcon.encoders.resnet.halved`.

    Windows have the elements 2i and 2i + 1, and also 2i - 1 if the length is odd. Elements outside
    are not counted.
    """
    odd = x.shape[dim] % 2
    sides = (0, 0) * (x.dim() - 1 - dim) + (1, 1)
    windows = pad(x, sides).unfold(dim, 3, 2)
    counted = pad(torch.ones_like(x[:1, :1]), sides).unfold(dim, 3, 2)

    def total(of: Tensor) -> Tensor:
        return odd * of[..., 0] + of[..., 1] + of[..., 2]

    return total(windows) / total(counted)


def portable(model: Model, onnx: bool = False) -> Model:
    """Return a copy of a module in eval mode, on the CPU, that `torch.export` can export.

    Args:
        model: an encoder, or a module around encoders and heads.
        onnx: whether max-pooling is the operator of ONNX, so that only ONNX runtimes can run it.
    """
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for name, module in list(model.named_modules()):
        new: nn.Module | None = None
        if isinstance(module, MelFrontend):
            module.as_convolution = True
        elif isinstance(module, POOLS):
            new = pooling(module, onnx)
        elif isinstance(module, AdapterBlock):
            new = HalvingBlock(module)
        elif isinstance(module, WholeBlocks):
            new = Blocks(module.block)
        elif type(module).__name__ == "LayerNorm2d" and isinstance(module, nn.LayerNorm):
            new = ChannelNorm(module)
        elif type(module).__name__ == "ConvNeXtBlock":
            channels_first(module)
        if new is not None:
            model.set_submodule(name, new)
    return model


def channels_first(block: Any) -> None:
    """Let a ConvNeXt block of timm work on ``[N, C, bands, F]`` throughout.

    By default its layer norm and linear layers work on channels-last tensors, whose layout
    `torch.export` checks by whether a size is 1.
    """
    linear, norm = [block.mlp.fc1, block.mlp.fc2], block.norm
    if block.use_conv_mlp or not all(isinstance(layer, nn.Linear) for layer in linear):
        return
    if isinstance(block.mlp.norm, nn.Identity) and isinstance(norm, nn.LayerNorm):
        block.use_conv_mlp, block.norm = True, ChannelNorm(norm)
        block.mlp.fc1, block.mlp.fc2 = map(Pointwise, linear)


def pooling(module: nn.Module, onnx: bool) -> nn.Module:
    """Return the replacement of a pooling; the module itself if it has further options."""
    dims = 1 if isinstance(module, nn.MaxPool1d | nn.AvgPool1d) else 2
    mean = isinstance(module, nn.AvgPool1d | nn.AvgPool2d)

    def each(name: str) -> list[int]:
        value = getattr(module, name, 1)
        return [value] * dims if isinstance(value, int) else list(value)

    kernel, stride, padding = each("kernel_size"), each("stride"), each("padding")
    further = getattr(module, "ceil_mode", False) or getattr(module, "return_indices", False)
    if further or each("dilation") != [1] * dims or (mean and any(padding)):
        return module
    return (OnnxWindows if onnx else Windows)(kernel, stride, padding, mean)

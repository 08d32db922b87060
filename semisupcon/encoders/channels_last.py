"""One-dimensional layers that compute in channels-last format on a GPU.

Convolutions of cuDNN on Hopper and Ampere GPUs are fastest in channels-last format, which PyTorch
has for images only. With ``[N, C, T]``, a waveform network transposes around every convolution, and
batch norm and pooling are slow. The layers of this module also take ``[N, C, 1, T]``, which
`ChannelsLast` uses on a GPU. Parameters, state and results equal the layers of `torch.nn` up to
rounding; on a CPU the computation is the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d` of ``[N, C, T]`` or ``[N, C, 1, T]``; padding with zeros."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 3:
            return super().forward(input)
        options = ((1, n) for n in (self.stride[0], int(self.padding[0]), self.dilation[0]))
        stride, (_, padding), dilation = options
        output = F.conv2d(
            input, self.weight.unsqueeze(2), self.bias, stride, (0, padding), dilation, self.groups
        )
        # With one input channel, the memory format is ambiguous: set the format of the output.
        return (
            output.contiguous(memory_format=torch.channels_last)
            if self.in_channels == 1
            else output
        )


class BatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` of ``[N, C]``, ``[N, C, T]`` or ``[N, C, 1, T]``."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            super()._check_input_dim(input)


class MaxPool1d(nn.MaxPool1d):
    """`torch.nn.MaxPool1d` of ``[N, C, T]`` or ``[N, C, 1, T]``, without padding and dilation."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 3:
            return super().forward(input)
        return F.max_pool2d(input, (1, self.kernel_size), (1, self.stride))  # type: ignore[arg-type]  # numbers


class ChannelsLast(nn.Sequential):
    """Sequence of these layers, ``[N, C, T]`` to ``[N, C', T']``; channels last on a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cuda":
            return super().forward(input)
        return super().forward(input.unsqueeze(2)).squeeze(2)

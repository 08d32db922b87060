"""1-D layers that compute in channels-last memory format on a GPU.

Convolutions of cuDNN on Ampere and Hopper GPUs are fastest in channels-last format, which PyTorch
has for images only. With inputs ``[N, C, T]``, cuDNN transposes before and after every convolution,
and batch norm and pooling are slow. The layers of this module also accept ``[N, C, 1, T]``, which
`ChannelsLast` uses on a GPU. Parameters and state are those of the layers of `torch.nn`. Results
are equal up to rounding on a GPU, and identical on a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d` with zero padding for inputs ``[N, C, T]`` or ``[N, C, 1, T]``."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 3:
            return super().forward(input)
        options = ((1, n) for n in (self.stride[0], int(self.padding[0]), self.dilation[0]))
        stride, (_, padding), dilation = options
        output = F.conv2d(
            input, self.weight.unsqueeze(2), self.bias, stride, (0, padding), dilation, self.groups
        )
        # With one input channel, the memory format is ambiguous, so set the format of the output
        # explicitly.
        return (
            output.contiguous(memory_format=torch.channels_last)
            if self.in_channels == 1
            else output
        )


class BatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` for inputs ``[N, C]``, ``[N, C, T]`` or ``[N, C, 1, T]``."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            super()._check_input_dim(input)


class MaxPool1d(nn.MaxPool1d):
    """`torch.nn.MaxPool1d` without padding and dilation, for ``[N, C, T]`` or ``[N, C, 1, T]``."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 3:
            return super().forward(input)
        return F.max_pool2d(input, (1, self.kernel_size), (1, self.stride))  # type: ignore[arg-type]  # numbers


class ChannelsLast(nn.Sequential):
    """Sequence of the layers of this module, from ``[N, C, T]`` to ``[N, C', T']``.

    On a GPU, the layers compute in channels-last format.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cuda":
            return super().forward(input)
        return super().forward(input.unsqueeze(2)).squeeze(2)

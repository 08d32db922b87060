"""How waveforms are scaled before anything else sees them: one rule per encoder, stored with its weights.

MT-SLVR normalises by data-set statistics and evaluates by those of the clip, COLA divides by the L2 norm; SemiSupCon, CLMR and MFCL do
nothing. Pretraining, probing and inference all go through the same module, so that they cannot drift apart.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.spec import Recorded


def valid_samples(x: Tensor, length: Tensor | None) -> Tensor | None:
    """Mask ``[N, 1, T]`` of the samples of ``x [N, 1, T]`` that are audio; None when all are."""
    return None if length is None else torch.arange(x.shape[-1], device=x.device) < length[:, None, None].to(x.device)


def moments(waveforms: Iterable[Tensor]) -> tuple[float, float]:
    """Mean and (population) standard deviation over all samples of all tensors, of any shape, in float64 and one pass.

    Raises:
        ConfigError: if there are no samples, or all are equal.
    """
    count, mean, square = 0, 0.0, 0.0
    for x in waveforms:
        x = x.detach().double()
        if (n := x.numel()) == 0:
            continue
        # Chan, Golub and LeVeque (1979): moments are merged, because a difference of sums of squares would cancel.
        delta = float(x.mean()) - mean
        count, square = count + n, square + float((x - x.mean()).square().sum()) + delta**2 * count * n / (count + n)
        mean += delta * n / count
    if square <= 0:
        raise ConfigError("data-set statistics need audio that is not constant; found none.")
    return mean, (square / count) ** 0.5


class Normalization(Recorded):
    """A rule ``(x [N, 1, T], length [N] or None) -> [N, 1, T]``; what lies beyond ``length`` is padding and takes no part."""

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no forward(x, length)")


class NoNormalization(Normalization):
    """Leave waveforms as they are."""

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        return x


class PerClip(Normalization):
    """Zero mean and unit variance per waveform; digital silence stays zero.

    Args:
        epsilon: added to the standard deviation.
    """

    def __init__(self, epsilon: float = 1e-8):
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        mask = valid_samples(x, length)
        if mask is None:
            mean, std = x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True, correction=0)
            return (x - mean) / (std + self.epsilon)
        count = mask.sum(dim=-1, keepdim=True).clamp(min=1)
        centred = (x - (x * mask).sum(dim=-1, keepdim=True) / count) * mask
        std = (centred.square().sum(dim=-1, keepdim=True) / count).sqrt()
        return centred / (std + self.epsilon)


class L2(Normalization):
    """Divide each waveform by its L2 norm, as COLA does with each crop.

    Args:
        epsilon: lower bound of the norm.
    """

    def __init__(self, epsilon: float = 1e-9):
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        mask = valid_samples(x, length)
        x = x if mask is None else x * mask
        return x / x.norm(dim=-1, keepdim=True).clamp(min=self.epsilon)


class DatasetStatistics(Normalization):
    """Subtract one mean and divide by one standard deviation, those of all samples of a data set (MT-SLVR's default).

    The two numbers are buffers: computed once by `fit`, saved in checkpoints, read back with the weights.

    Args:
        mean: of the samples; MT-SLVR's balanced AudioSet has -0.00029522.
        std: of the samples; 0.11652075 there. Both None: `fit` must be called before use.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | None = None, std: float | None = None):
        super().__init__()
        if (mean is None) != (std is None) or (std is not None and std <= 0):
            raise ConfigError(f"data-set statistics need a mean and a positive std, or neither; got mean {mean} and std {std}.")
        self.register_buffer("mean", torch.tensor(float("nan") if mean is None else mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(float("nan") if std is None else std, dtype=torch.float32))
        self._seen = False

    @property
    def fitted(self) -> bool:
        """Whether the statistics are known."""
        # Asked in every forward pass: the buffer, which may live on a GPU, is looked at until it was seen once.
        self._seen = self._seen or not bool(self.std.isnan())
        return self._seen

    def fit(self, waveforms: Iterable[Tensor]) -> None:
        """Take the statistics of all samples of all tensors; see `moments`."""
        mean, std = moments(waveforms)
        self.mean.fill_(mean)
        self.std.fill_(std)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        if not self.fitted:
            raise ConfigError(
                "the data-set statistics of this encoder are not known yet; give mean and std, or call normalize.fit(waveforms)."
            )
        mask = valid_samples(x, length)
        x = (x - self.mean) / self.std
        return x if mask is None else x * mask


def fit_statistics(module: nn.Module, waveforms: Iterable[Tensor]) -> bool:
    """Fit every `DatasetStatistics` inside a module that is not fitted yet, going through the waveforms once and only if there is one.

    Returns:
        Whether there was one.
    """
    waiting = [m for m in module.modules() if isinstance(m, DatasetStatistics) and not m.fitted]
    if waiting:
        mean, std = moments(waveforms)
        for statistics in waiting:
            statistics.mean.fill_(mean)
            statistics.std.fill_(std)
    return bool(waiting)

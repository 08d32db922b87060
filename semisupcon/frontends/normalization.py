"""Normalisation of input waveforms. Each encoder has one normalisation, stored with its weights.

MT-SLVR trains with statistics of the data set and evaluates with statistics of each clip. COLA
divides by the L2 norm. SemiSupCon, CLMR and MFCL do not normalise. In this package, pretraining,
probing and inference use the same module and therefore the same normalisation.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.spec import Recorded


def valid_samples(x: Tensor, length: Tensor | None) -> Tensor | None:
    """Return a mask of the valid samples of ``x [N, 1, T]``; None if all are valid."""
    return (
        None
        if length is None
        else torch.arange(x.shape[-1], device=x.device) < length[:, None, None].to(x.device)
    )


Gather = Callable[[Tensor], Tensor]


def moments(waveforms: Iterable[Tensor], gather: Gather | None = None) -> tuple[float, float]:
    """Return the mean and (population) standard deviation of all samples of tensors of any shape.

    They are computed in float64 in one pass.

    Args:
        waveforms: tensors of any shape.
        gather: function that gathers a tensor ``[3]`` from each of W processes as ``[W, 3]``, to
            include the samples of all processes. None uses only this process.

    Raises:
        ConfigError: if there are no samples, or if all samples are equal.
    """
    found = (0.0, 0.0, 0.0)
    for x in waveforms:
        x = x.detach().double()
        if x.numel():
            squares = float((x - x.mean()).square().sum())
            found = merged(found, (float(x.numel()), float(x.mean()), squares))
    if gather is not None:
        own, found = torch.tensor(found, dtype=torch.float64), (0.0, 0.0, 0.0)
        for count, mean, square in gather(own).reshape(-1, 3).tolist():
            found = merged(found, (count, mean, square))
    count, mean, square = found
    if square <= 0:
        raise ConfigError("data-set statistics need audio that is not constant; found none.")
    return mean, (square / count) ** 0.5


Moments = tuple[float, float, float]


def merged(one: Moments, other: Moments) -> Moments:
    """Merge the moments of two sets of samples: count, mean, and sum of squared deviations.

    This uses the formula of Chan, Golub and LeVeque (1979). A difference of sums of squares would
    suffer from cancellation.
    """
    count = one[0] + other[0]
    if count == 0:
        return one
    delta = other[1] - one[1]
    square = one[2] + other[2] + delta**2 * one[0] * other[0] / count
    return count, one[1] + delta * other[0] / count, square


class Normalization(Recorded):
    """Base class of normalisations ``(x [N, 1, T], length [N] or None) -> [N, 1, T]``.

    Samples after ``length`` are padding and are ignored.
    """

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no forward(x, length)")


class NoNormalization(Normalization):
    """Return waveforms unchanged."""

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        return x


class PerClip(Normalization):
    """Normalise each waveform to zero mean and unit variance; digital silence remains zero.

    Args:
        epsilon: number added to the standard deviation.
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
    """Divide each waveform by its L2 norm, as COLA does for each crop.

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
    """Subtract the mean and divide by the standard deviation of a data set, as in MT-SLVR.

    The two numbers are buffers. `fit` computes them once, and checkpoints store them with the
    weights.

    Args:
        mean: mean of all samples; -0.00029522 for the balanced AudioSet of MT-SLVR.
        std: standard deviation of all samples; 0.11652075 for the same data. If both are None,
            `fit` must be called before use.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | None = None, std: float | None = None):
        super().__init__()
        if (mean is None) != (std is None) or (std is not None and std <= 0):
            raise ConfigError(
                f"data-set statistics need a mean and a positive std, or neither; got mean {mean} "
                f"and std {std}."
            )
        self.register_buffer(
            "mean", torch.tensor(float("nan") if mean is None else mean, dtype=torch.float32)
        )
        self.register_buffer(
            "std", torch.tensor(float("nan") if std is None else std, dtype=torch.float32)
        )
        self._seen = False

    @property
    def fitted(self) -> bool:
        """Whether mean and standard deviation are known."""
        # This property is read in every forward pass. Once the buffer is set, it is not read again,
        # because it may be on a GPU.
        self._seen = self._seen or not bool(self.std.isnan())
        return self._seen

    def fit(self, waveforms: Iterable[Tensor]) -> None:
        """Set the statistics to those of all samples of all tensors; see `moments`."""
        mean, std = moments(waveforms)
        self.mean.fill_(mean)
        self.std.fill_(std)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        if not self.fitted:
            raise ConfigError(
                "the data-set statistics of this encoder are not known yet; give mean and std, or "
                "call normalize.fit(waveforms)."
            )
        mask = valid_samples(x, length)
        x = (x - self.mean) / self.std
        return x if mask is None else x * mask


def fit_statistics(
    module: nn.Module, waveforms: Iterable[Tensor], gather: Gather | None = None
) -> bool:
    """Fit every `DatasetStatistics` in a module that is not fitted yet, in one pass over waveforms.

    If the module has none, the waveforms are not read. ``gather`` is passed to `moments`.

    Returns:
        Whether the module had such a `DatasetStatistics`.
    """
    waiting = [m for m in module.modules() if isinstance(m, DatasetStatistics) and not m.fitted]
    if waiting:
        mean, std = moments(waveforms, gather)
        for statistics in waiting:
            statistics.mean.fill_(mean)
            statistics.std.fill_(std)
    return bool(waiting)

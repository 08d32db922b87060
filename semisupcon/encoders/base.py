"""Base class of encoders, which map a waveform ``[N, 1, T]`` to an embedding ``[N, D]``.

An encoder is composed of the modules normalize, frontend, trunk, pool and output.
"""

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.encoders.pooling import AveragePool, Pool, without_bands
from semisupcon.errors import AudioError, ConfigError
from semisupcon.frontends import Frontend, NoNormalization, Normalization, Waveform
from semisupcon.spec import Recorded

WHOLE = ("embedding", "all", "both")  # names of the embedding of all tasks together


class Encoder(Recorded):
    """Base class of encoders; subclasses pass their parts to ``super().__init__``.

    Args:
        trunk: network that maps the output of the front end to frames ``[N, width, F]`` or maps
            ``[N, width, bands, F]``.
        width: number of channels of the trunk output.
        dims: width of the embedding, or one width per task, in the order of the tasks.
        sample_rate: sample rate of input waveforms in Hz; None takes the value of the front end.
        segment_samples: length of a segment in samples, in pretraining and probing.
        min_samples: length in samples of the shortest waveform that the trunk accepts.
        frontend: front end; None uses the waveform itself.
        normalize: normalisation of waveforms; None omits it.
        pool: pooling over frames; None is the mean.
        output: layer after the pooling, shared or one per task in a ``ModuleDict``; None omits it.

    Attributes:
        tasks: names of the tasks with their own parameters (or of formats); empty for most
            encoders.
        task_dims: width of each task's embedding, in the order of ``tasks``.
        embedding_dim: width of the embedding; with tasks, of their concatenated embeddings.
        frozen: whether `freeze` was applied.
        whole_clips: whether complete clips are embedded one by one. By default, clips are cut into
            segments.
    """

    frozen = False
    whole_clips = False

    def __init__(
        self,
        trunk: nn.Module,
        *,
        width: int,
        dims: int | Mapping[str, int],
        sample_rate: int | None,
        segment_samples: int,
        min_samples: int = 1,
        frontend: Frontend | None = None,
        normalize: Normalization | None = None,
        pool: Pool | None = None,
        output: nn.Module | None = None,
    ):
        super().__init__()
        self.normalize = NoNormalization() if normalize is None else normalize
        self.frontend = Waveform() if frontend is None else frontend
        self.trunk = trunk
        self.pool = AveragePool() if pool is None else pool
        self.pool.connect(width)
        self.output = nn.Identity() if output is None else output
        self.task_dims = dict(dims) if isinstance(dims, Mapping) else {}
        self.tasks: tuple[str, ...] = tuple(self.task_dims)
        self.embedding_dim = sum(self.task_dims.values()) if isinstance(dims, Mapping) else dims
        self.sample_rate = agreed_rate(type(self).__name__, sample_rate, self.frontend)
        self.min_samples = max(min_samples, self.frontend.min_samples)
        self.segment_samples = segment_samples

    @property
    def segment_samples(self) -> int:
        """Segment length in samples, in pretraining and probing. Setting it changes the spec."""
        return self._segment_samples

    @segment_samples.setter
    def segment_samples(self, samples: int) -> None:
        if samples < self.min_samples:
            raise ConfigError(f"{self._takes()}; segments of {samples:,} are too short.")
        self._segment_samples = samples
        if "segment_samples" in inspect.signature(type(self).__init__).parameters:
            self._init_args["segment_samples"] = samples

    def features(self, x: Tensor, length: Tensor | None = None, task: str | None = None) -> Tensor:
        """Normalise waveforms and apply the front end. The result is the input of the trunk.

        The result is ``[N, 1, T]`` for waveform encoders and ``[N, C, bands, frames]`` for
        spectrogram encoders.

        Args:
            x: waveforms ``[N, 1, T]``, floating point, in about [-1, 1].
            length: ``[N]`` number of valid samples; padding is excluded from the normalisation.
            task: name of the task; used only by encoders with a front end for each task.

        Raises:
            ValueError: if the shape or type is wrong, or if waveforms are too short.
        """
        if x.dim() != 3 or x.shape[1] != 1 or not x.is_floating_point():
            raise AudioError(
                f"{type(self).__name__} takes floating-point waveforms [N, 1, T], got "
                f"{list(x.shape)} of {x.dtype}."
            )
        if x.shape[-1] < self.min_samples:
            raise AudioError(f"{self._takes()}, got {x.shape[-1]:,}; pad shorter clips.")
        return self.frontend(self.normalize(x, length))

    def from_features(
        self, features: Tensor, length: Tensor | None = None, task: str | None = None
    ) -> Tensor:
        """Compute embeddings from the output of the front end.

        Args:
            features: output of `features`.
            length: ``[N]`` number of valid samples. Only the first frame and frames whose centre is
                inside the valid samples are pooled.
            task: one of ``tasks``; None concatenates the embeddings of all tasks.

        Returns:
            ``[N, D]``.
        """
        names = self._names(task)
        embeddings = []
        for name, maps in zip(names, self._maps(features, names), strict=True):
            mask = (
                None
                if length is None
                else self._frame_mask(length.to(maps.device), features.shape[-1], maps.shape[-1])
            )
            embeddings.append(self._output(self.pool(maps, mask), name))
        return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings, dim=1)

    def forward(self, x: Tensor, length: Tensor | None = None, task: str | None = None) -> Tensor:
        """Compute embeddings ``[N, D]`` of waveforms ``[N, 1, T]``.

        For the arguments see `features` and `from_features`.
        """
        return self.from_features(self.features(x, length, task), length, task)

    def frames(self, x: Tensor, task: str | None = None) -> Tensor:
        """Return an embedding of each frame, ``[N, D, F]``, before pooling over time.

        Bands are averaged, and the output layer is applied to each frame.
        """
        names = self._names(task)
        maps = self._maps(self.features(x, task=task), names)
        frames = [
            self._output(without_bands(m).transpose(1, 2), name).transpose(1, 2)
            for name, m in zip(names, maps, strict=True)
        ]
        return frames[0] if len(frames) == 1 else torch.cat(frames, dim=1)

    def embed(
        self,
        clips: Iterable[str | Path | np.ndarray | Tensor] | str | Path,
        per: str = "file",
        task: str | None = None,
        batch_size: int = 32,
    ) -> np.ndarray | list[np.ndarray]:
        """Compute embeddings ``[n, D]`` of whole audio files or waveforms of any length.

        For arguments and results see `semisupcon.embedding.embed`.
        """
        from semisupcon.embedding import embed

        return embed(self, clips, per, task, batch_size)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode. A frozen encoder remains in evaluation mode."""
        return super().train(mode and not self.frozen)

    def _maps(self, features: Tensor, names: tuple[str | None, ...]) -> list[Tensor]:
        """Return the output of the trunk for each task name; shared layers run once."""
        return [self.trunk(features)] * len(names)

    def _output(self, x: Tensor, name: str | None) -> Tensor:
        if not isinstance(self.output, nn.ModuleDict):
            return self.output(x)
        assert name is not None  # an encoder with output layers per task has tasks
        return self.output[name](x)

    def _names(self, task: str | None) -> tuple[str | None, ...]:
        if task is None:
            return self.tasks or (None,)
        if task not in self.tasks:
            have = f"its tasks are {', '.join(self.tasks)}" if self.tasks else "it has none"
            raise ConfigError(f"{type(self).__name__} has no task '{task}'; {have}.")
        return (task,)

    def _frame_mask(self, length: Tensor, total: int, frames: int) -> Tensor:
        audio = self.frontend.frame_count(length)
        valid = ((2 * audio * frames + total) // (2 * total)).clamp(1, frames)
        return torch.arange(frames, device=valid.device) < valid[:, None]

    def _takes(self) -> str:
        seconds = self.min_samples / self.sample_rate
        return f"{type(self).__name__} takes at least {self.min_samples:,} samples ({seconds:.2f} s at {self.sample_rate:,} Hz)"


def agreed_rate(name: str, sample_rate: int | None, frontend: Frontend) -> int:
    """Return the common sample rate of an encoder and its front end.

    Raises a ConfigError if the rates differ.
    """
    if sample_rate is None:
        sample_rate = frontend.sample_rate
    if sample_rate is None or frontend.sample_rate not in (None, sample_rate):
        raise ConfigError(
            f"{name} at {sample_rate} Hz cannot use {type(frontend).__name__}, which needs "
            f"{frontend.sample_rate} Hz."
        )
    return sample_rate


def needs_waveform(name: str, frontend: Frontend | None) -> None:
    """Check that the front end of a 1-D encoder outputs waveforms."""
    if frontend is not None and frontend.bands is not None:
        raise ConfigError(
            f"{name} reads waveforms and cannot follow {type(frontend).__name__}, which gives "
            "spectrograms."
        )


def needs_spectrogram(name: str, frontend: Frontend) -> None:
    """Check that the front end of a 2-D encoder outputs spectrograms."""
    if frontend.bands is None:
        raise ConfigError(
            f"{name} reads spectrograms and needs a front end such as LogMel, not "
            f"{type(frontend).__name__}."
        )


def freeze(encoder: Encoder) -> Encoder:
    """Freeze an encoder: it gets no gradients and remains in evaluation mode.

    Calling ``train()`` on a parent module has no effect on it. Thus its parameters and buffers do
    not change, including the running statistics of batch norm.
    """
    encoder.frozen = True
    return encoder.requires_grad_(False).eval()

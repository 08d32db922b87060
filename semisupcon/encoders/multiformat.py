"""Pair of a waveform encoder and a spectrogram encoder (MFCL, Wang and van den Oord 2021)."""

import torch
from torch import Tensor, nn

from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError


class MultiFormat(Encoder):
    """Pair of encoders for two formats of the same audio: waveform and spectrogram.

    The formats are the tasks ``waveform`` and ``spectrogram``. Without a task, the output is the
    concatenation of both embeddings.

    Args:
        waveform: waveform encoder; `DilatedCNN` in the AudioMNIST exercise about MFCL.
        spectrogram: spectrogram encoder; `ResNet2d` in the AudioMNIST exercise about MFCL.
        segment_samples: segment length in samples; None takes the longer segment of the two
            encoders.

    Raises:
        ConfigError: if an encoder has the wrong format or has tasks, or if the sample rates differ.
    """

    trunk: nn.ModuleDict

    def __init__(self, waveform: Encoder, spectrogram: Encoder, segment_samples: int | None = None):
        formats = {"waveform": waveform, "spectrogram": spectrogram}
        read = {
            name: "waveform" if encoder.frontend.bands is None else "spectrogram"
            for name, encoder in formats.items()
        }
        if wrong := [
            f"{type(formats[name]).__name__} as {name} reads {read[name]}s"
            for name in formats
            if read[name] != name
        ]:
            raise ConfigError(
                "MultiFormat needs one encoder of each format, but "
                f"{' and '.join(wrong)}{'; swap them' * (len(wrong) == 2)}."
            )
        if waveform.sample_rate != spectrogram.sample_rate:
            raise ConfigError(
                f"both formats need one sample rate, got {waveform.sample_rate} and "
                f"{spectrogram.sample_rate} Hz."
            )
        if waveform.tasks or spectrogram.tasks:
            raise ConfigError("the encoders of MultiFormat must not have tasks.")
        super().__init__(
            nn.ModuleDict(formats),
            width=0,
            dims={name: encoder.embedding_dim for name, encoder in formats.items()},
            sample_rate=waveform.sample_rate,
            segment_samples=segment_samples
            or max(waveform.segment_samples, spectrogram.segment_samples),
            min_samples=max(waveform.min_samples, spectrogram.min_samples),
        )

    def _format(self, name: str | None) -> Encoder:
        assert name is not None  # the names are those of the two formats
        encoder = self.trunk[name]
        assert isinstance(encoder, Encoder)
        return encoder

    # Without a task, the result is a tuple of two tensors of different shapes, which only
    # `from_features` accepts.
    def features(  # type: ignore[override]
        self, x: Tensor, length: Tensor | None = None, task: str | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Return the front-end output of one format; without a task, a tuple of both outputs."""
        if task is None:
            return tuple(self._format(name).features(x, length) for name in self.tasks)
        return self._format(self._names(task)[0]).features(x, length)

    def from_features(
        self,
        features: Tensor | tuple[Tensor, ...],
        length: Tensor | None = None,
        task: str | None = None,
    ) -> Tensor:
        names = self._names(task)
        each = features if task is None else (features,)
        pairs = zip(map(self._format, names), each, strict=True)
        return torch.cat([encoder.from_features(f, length) for encoder, f in pairs], dim=1)

    def frames(self, x: Tensor, task: str | None = None) -> Tensor:
        """Return the frames ``[N, D, F]`` of one format. The formats have different numbers of
        frames.

        Raises:
            ConfigError: if no task is given.
        """
        if task is None:
            raise ConfigError(
                "frames of MultiFormat need one format; give the task 'waveform' or 'spectrogram'."
            )
        return self._format(self._names(task)[0]).frames(x)

"""Wrap any module that maps waveforms to vectors as an encoder."""

import inspect

import torch
from torch import Tensor, nn

from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError, first_line


class ForeignEncoder(Encoder):
    """Encoder that wraps a module from another package.

    The module must map waveforms ``[N, 1, T]``, or ``[N, T]`` if it does not accept the former, to
    ``[N, D]`` or ``[N, D, F]``. If its ``forward`` has an argument ``length``, the encoder passes
    the number of valid samples ``[N]``. If the module has an attribute ``min_samples``, shorter
    clips are repeated up to this length.

    Args:
        module: module to wrap.
        sample_rate: sample rate in Hz; None for the attribute ``sample_rate`` of the module.
        segment_samples: samples per segment; None for the attribute ``segment_samples`` of the
            module. With ``whole_clips``, the default is one second.
        whole_clips: whether the module gets whole clips instead of segments; None for the attribute
            ``whole_clips`` of the module, or False without one.

    Raises:
        ConfigError: if sample rate or segment length is missing, or the module does not return one
            vector per clip.
    """

    def __init__(
        self,
        module: nn.Module,
        sample_rate: int | None = None,
        segment_samples: int | None = None,
        whole_clips: bool | None = None,
    ):
        name = type(module).__name__
        sample_rate = sample_rate or getattr(module, "sample_rate", None)
        if whole_clips is None:
            whole_clips = bool(getattr(module, "whole_clips", False))
        segment_samples = segment_samples or getattr(module, "segment_samples", None)
        min_samples = getattr(module, "min_samples", 1)
        if segment_samples is None and whole_clips and sample_rate is not None:
            segment_samples = max(sample_rate, min_samples)
        if sample_rate is None or segment_samples is None:
            raise ConfigError(
                f"{name} has no attributes sample_rate and segment_samples; give them in a YAML "
                "file (docs/probing.md)."
            )
        takes_length = "length" in inspect.signature(module.forward).parameters
        channels, width = _try(module, name, segment_samples, takes_length)
        super().__init__(
            module,
            width=width,
            dims=width,
            sample_rate=sample_rate,
            segment_samples=segment_samples,
            min_samples=min_samples,
        )
        self._channels, self._takes_length = channels, takes_length
        self.whole_clips = whole_clips

    def from_features(
        self, features: Tensor, length: Tensor | None = None, task: str | None = None
    ) -> Tensor:
        self._names(task)
        return _call(self.trunk, features, self._channels, self._takes_length, length)


def _call(
    module: nn.Module, x: Tensor, channels: bool, takes_length: bool, length: Tensor | None = None
) -> Tensor:
    """Call a module with waveforms ``[N, 1, T]`` and return vectors ``[N, D]``.

    An output ``[N, D, F]`` is averaged over F.

    Args:
        module: wrapped module.
        x: ``[N, 1, T]``.
        channels: whether the module takes ``[N, 1, T]``; if false, it takes ``[N, T]``.
        takes_length: whether the module has an argument ``length``.
        length: ``[N]``, valid samples; None for T.
    """
    given = {}
    if takes_length:
        full = torch.full((len(x),), x.shape[-1], device=x.device)
        given["length"] = full if length is None else length
    answer = module(x if channels else x[:, 0], **given)
    if not isinstance(answer, Tensor):
        raise TypeError(f"it returns a {type(answer).__name__}")
    return answer.mean(dim=2) if answer.dim() == 3 else answer


def _try(module: nn.Module, name: str, samples: int, takes_length: bool) -> tuple[bool, int]:
    """Call a module with silence to find out its input and output.

    Returns:
        Whether the module takes waveforms with a channel axis, and the width of its vectors.

    Raises:
        ConfigError: if the module does not return one vector per waveform.
    """
    was = module.training
    module.eval()
    errors = []
    try:
        with torch.no_grad():
            for channels in (True, False):
                try:
                    answer = _call(module, torch.zeros(2, 1, samples), channels, takes_length)
                except ModuleNotFoundError as error:
                    raise ConfigError(missing(name, error)) from error
                except Exception as error:  # A user module may raise any exception.
                    errors.append(first_line(error, 100))
                    continue
                if answer.dim() == 2 and len(answer) == 2 and answer.is_floating_point():
                    return channels, answer.shape[1]
                errors.append(f"it returns {list(answer.shape)} of {answer.dtype}")
    finally:
        module.train(was)
    raise ConfigError(
        f"{name} does not map waveforms [N, 1, {samples}] to vectors [N, D]: {errors[0]}\nNor "
        f"waveforms [N, {samples}]: {errors[1]}"
    )


def missing(name: str, error: ModuleNotFoundError) -> str:
    """Return the error message for a module that needs a missing package."""
    package = (error.name or "a package").partition(".")[0]
    return f"{name} needs {package}, which is not installed: pip install {package}."

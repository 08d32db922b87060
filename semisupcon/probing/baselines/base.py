"""Base class of baselines: audio features and public models as encoders."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from semisupcon.digests import digest_of
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError

_HERE = __name__.rpartition(".")[0]


class Extractor(Encoder):
    """Base class of baselines, which map waveforms ``[N, 1, T]`` to embeddings ``[N, D]``.

    A subclass defines ``vectors``, which returns embeddings, or ``sequence``, which returns frames.
    Frames are pooled by mean and standard deviation.

    Args:
        dims: width D of the embedding.
        sample_rate: sample rate in Hz.
        segment_samples: samples per segment. A baseline that embeds whole clips uses this length
            only where a fixed length is needed, for example for one embedding per second.
        min_samples: minimum length in samples. Shorter clips are repeated up to this length.

    Attributes:
        source: "baseline" for features of a signal, "public" for a trained model.
        layer, pooling: description of the output and of its pooling over frames, for reports.
        package, licence: package with the weights or the code, and its licence; empty without a
            package.
        has_untrained: whether `untrained` can build an untrained model of the same architecture.
    """

    source: ClassVar[str] = "public"
    layer: str = ""
    pooling: str = "mean, standard deviation"
    package: str = ""
    licence: str = ""
    has_untrained: ClassVar[bool] = False

    def __init__(self, dims: int, sample_rate: int, segment_samples: int, min_samples: int = 1):
        super().__init__(
            nn.Identity(),
            width=dims,
            dims=dims,
            sample_rate=sample_rate,
            segment_samples=segment_samples,
            min_samples=min_samples,
        )

    def from_features(
        self, features: Tensor, length: Tensor | None = None, task: str | None = None
    ) -> Tensor:
        self._names(task)
        return self.vectors(features[:, 0].float())

    def frames(self, x: Tensor, task: str | None = None) -> Tensor:
        self._names(task)
        return self.sequence(self.features(x)[:, 0].float())

    def vectors(self, x: Tensor) -> Tensor:
        """Return the embeddings ``[N, D]`` of waveforms ``[N, T]``."""
        return statistics(self.sequence(x))

    def sequence(self, x: Tensor) -> Tensor:
        """Return the F frames ``[N, D', F]`` of waveforms ``[N, T]``.

        Raises:
            ConfigError: if the baseline has no frames.
        """
        raise ConfigError(f"{type(self).__name__} gives one vector per segment and no frames.")

    def untrained(self, seed: int) -> "Extractor":
        """Build an untrained model of the same architecture, with weights drawn from ``seed``.

        Raises:
            ConfigError: if ``has_untrained`` is false.
        """
        raise ConfigError(f"{type(self).__name__} has no untrained copy.")

    def code(self) -> list[list[str]]:
        """Return the names and digests of the source files of the class, for fingerprints."""
        modules = {cls.__module__ for cls in type(self).__mro__}
        return [
            [name, digest_of(Path(str(sys.modules[name].__file__)))]
            for name in sorted(modules)
            if name.startswith(_HERE)
        ]

    def version(self) -> str:
        """Return the name and the version of the package; empty without a package."""
        if not self.package:
            return ""
        return f"{self.package} {importlib.metadata.version(self.package)}"


def statistics(frames: Tensor) -> Tensor:
    """Return mean and standard deviation over frames: ``[N, D, F]`` to ``[N, 2 D]``."""
    return torch.cat([frames.mean(dim=2), frames.std(dim=2, correction=0)], dim=1)


def need(module: str, name: str, pip: str) -> None:
    """Check that a package is installed.

    Args:
        module: name of the module.
        name: name of the baseline, for the message.
        pip: arguments of ``pip install``, for the message.

    Raises:
        ConfigError: if the module is missing, with the pip command.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"The encoder '{name}' needs {module}, which is not installed.\npip install {pip}"
        )


def file_of(module: str, name: str, pip: str, *parts: str) -> Path:
    """Return the path of a file of an installed package, without importing the package.

    Raises:
        ConfigError: if the package or the file is missing.
    """
    need(module, name, pip)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent.joinpath(*parts)
    if not file.is_file():
        raise ConfigError(
            f"The encoder '{name}' needs {'/'.join(parts)} of {module}, which this version of the "
            f"package does not hold.\npip install {pip}"
        )
    return file

"""Encoders from other packages: any ``nn.Module`` from waveforms to vectors, by class path or YAML
file.

class_path: my.module.Net         # needs --trust my.module
init_args: {width: 64}
weights: net.safetensors          # optional; or a state dict for torch.load(weights_only=True)
sample_rate: 16000                # unless the module has this attribute and the next
segment_samples: 32000
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from semisupcon.encoders.base import Encoder
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.public import is_ours, lies_in, public_class, trusted_object, trusted_roots
from semisupcon.torch_files import read_checkpoint

KEYS = ("class_path", "init_args", "weights", "sample_rate", "segment_samples")


class ForeignEncoder(Encoder):
    """Any module as an encoder.

    The module gets waveforms ``[N, 1, T]``, or ``[N, T]`` if it raises an error for them. It
    returns ``[N, D]`` or ``[N, D, F]``.

    Args:
        module: the module.
        sample_rate: sample rate in Hz; None reads the attribute of the module.
        segment_samples: samples per segment; None reads the attribute of the module.

    Raises:
        ConfigError: if one of these is missing, or the module does not return one vector per clip.
    """

    def __init__(
        self, module: nn.Module, sample_rate: int | None = None, segment_samples: int | None = None
    ):
        name = type(module).__name__
        sample_rate = sample_rate or getattr(module, "sample_rate", None)
        segment_samples = segment_samples or getattr(module, "segment_samples", None)
        if sample_rate is None or segment_samples is None:
            raise ConfigError(
                f"{name} has no attributes sample_rate and segment_samples; give them in a YAML "
                "file (docs/probing.md)."
            )
        answer = self._try(module, name, segment_samples)
        super().__init__(
            module,
            width=answer.shape[1],
            dims=answer.shape[1],
            sample_rate=sample_rate,
            segment_samples=segment_samples,
        )

    def from_features(
        self, features: Tensor, length: Tensor | None = None, task: str | None = None
    ) -> Tensor:
        self._names(task)
        return _vectors(self.trunk(features if self._channels else features[:, 0]))

    def _try(self, module: nn.Module, name: str, samples: int) -> Tensor:
        was = module.training
        module.eval()
        errors = []
        try:
            with torch.no_grad():
                for self._channels in (True, False):
                    try:
                        answer = _vectors(
                            module(
                                torch.zeros(2, 1, samples)
                                if self._channels
                                else torch.zeros(2, samples)
                            )
                        )
                    except (RuntimeError, ValueError, IndexError, TypeError) as error:
                        errors.append(
                            str(error).splitlines()[0][:100] if str(error) else type(error).__name__
                        )
                        continue
                    if answer.dim() == 2 and len(answer) == 2:
                        return answer
                    errors.append(f"it returns {list(answer.shape)}")
        finally:
            module.train(was)
        raise ConfigError(
            f"{name} does not map waveforms [N, 1, {samples}] to vectors [N, D]: {errors[0]}\nNor "
            f"waveforms [N, {samples}]: {errors[1]}"
        )


def _vectors(answer: Tensor) -> Tensor:
    """Vectors ``[N, D]``; a sequence ``[N, D, F]`` is averaged over F."""
    if not isinstance(answer, Tensor):
        raise TypeError(f"it returns a {type(answer).__name__}")
    return answer.mean(dim=2) if answer.dim() == 3 else answer


def from_yaml(file: Path, trust: Sequence[str]) -> tuple[Encoder, Callable[[], Encoder]]:
    """Load the encoder of a YAML file with its weights.

    Also returns a function that builds it without weights.

    Raises:
        CheckpointError: for an invalid file, a class that is not trusted, or weights that do not
            match.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"{file} cannot be read as YAML: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(content, Mapping) or "class_path" not in content or set(content) - set(KEYS):
        raise CheckpointError(
            f"{file} does not describe an encoder: it needs class_path and may have "
            f"{', '.join(KEYS[1:])}."
        )
    path = str(content["class_path"])
    if not is_ours(path) and not lies_in(path, trusted_roots(trust)):
        raise CheckpointError(
            f"{file} names the class {path}, which is not trusted.\nIf you know it, give --trust "
            f"{path.rpartition('.')[0]}."
        )
    found = public_class(path) if is_ours(path) else trusted_object(path, trust)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise CheckpointError(f"{file} names {path}, which is not a module class.")
    if not isinstance(content.get("init_args") or {}, Mapping):
        raise CheckpointError(f"The init_args in {file} are not a mapping of names to values.")

    def make() -> Encoder:
        return as_encoder(
            found,
            content.get("init_args") or {},
            content.get("sample_rate"),
            content.get("segment_samples"),
        )

    encoder = make()
    if content.get("weights"):
        load_state(encoder, file.parent / str(content["weights"]))
    return encoder, make


def find_class(path: str) -> type[nn.Module] | None:
    """The module class of an import path; None if there is none."""
    module, _, name = path.rpartition(".")
    if not module or not path.replace(".", "").isidentifier():
        return None
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def as_encoder(
    cls: type[nn.Module],
    init_args: Mapping[str, Any] | None = None,
    sample_rate: int | None = None,
    segment_samples: int | None = None,
) -> Encoder:
    """Instantiate a class and wrap the module as an encoder if needed.

    Raises:
        ConfigError: if the class does not accept the arguments.
    """
    try:
        module = cls(**(init_args or {}))
    except TypeError as error:
        raise ConfigError(
            f"{cls.__name__} cannot be instantiated: {error}.\nIts arguments can be given in a "
            "YAML file (docs/probing.md)."
        ) from error
    return (
        module
        if isinstance(module, Encoder)
        else ForeignEncoder(module, sample_rate, segment_samples)
    )


def load_state(encoder: Encoder, file: Path) -> None:
    """Load a state dict strictly into the wrapped module; no pickled code is executed.

    Raises:
        CheckpointError: if the file cannot be read or does not match.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: Any = load_file(file) if file.suffix == ".safetensors" else read_checkpoint(file)
        (encoder.trunk if isinstance(encoder, ForeignEncoder) else encoder).load_state_dict(
            state.get("state_dict", state)
        )
    except (
        CheckpointError,
        OSError,
        SafetensorError,
        RuntimeError,
        AttributeError,
        TypeError,
    ) as error:
        raise CheckpointError(
            f"The weights {file} cannot be loaded: {' '.join(str(error).split())[:300]}"
        ) from error

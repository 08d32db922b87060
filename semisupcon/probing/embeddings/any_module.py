"""Encoders that are none of ours: any ``nn.Module`` from waveforms to vectors, by class path or by a small YAML file.

class_path: my.module.Net         # needs --trust my.module, as every class that a file names
init_args: {width: 64}
weights: net.safetensors          # or a state dict that torch.load reads with weights_only; optional
sample_rate: 16000                # unless the module has attributes of these names
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
    """A module as an encoder. It is given waveforms ``[N, 1, T]``, or ``[N, T]`` where it refuses those, and may answer ``[N, D]`` or ``[N, D, F]``.

    Args:
        module: the module.
        sample_rate: Hz that it takes; None reads its attribute of that name.
        segment_samples: samples that it is given at once; None reads its attribute of that name.

    Raises:
        ConfigError: where one of these is missing, or what comes out is no vector a clip.
    """

    def __init__(self, module: nn.Module, sample_rate: int | None = None, segment_samples: int | None = None):
        name = type(module).__name__
        sample_rate = sample_rate or getattr(module, "sample_rate", None)
        segment_samples = segment_samples or getattr(module, "segment_samples", None)
        if sample_rate is None or segment_samples is None:
            raise ConfigError(f"{name} does not say its sample_rate and segment_samples; name them in a YAML file (docs/probing.md).")
        answer = self._try(module, name, segment_samples)
        super().__init__(module, width=answer.shape[1], dims=answer.shape[1], sample_rate=sample_rate, segment_samples=segment_samples)

    def from_features(self, features: Tensor, length: Tensor | None = None, task: str | None = None) -> Tensor:
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
                        answer = _vectors(module(torch.zeros(2, 1, samples) if self._channels else torch.zeros(2, samples)))
                    except (RuntimeError, ValueError, IndexError, TypeError) as error:
                        errors.append(str(error).splitlines()[0][:100] if str(error) else type(error).__name__)
                        continue
                    if answer.dim() == 2 and len(answer) == 2:
                        return answer
                    errors.append(f"it answers {list(answer.shape)}")
        finally:
            module.train(was)
        raise ConfigError(f"{name} makes no vectors [N, D] of waveforms [N, 1, {samples}]: {errors[0]}\nNor of [N, {samples}]: {errors[1]}")


def _vectors(answer: Tensor) -> Tensor:
    """``[N, D]``; a sequence ``[N, D, F]`` is averaged."""
    if not isinstance(answer, Tensor):
        raise TypeError(f"it answers a {type(answer).__name__}")
    return answer.mean(dim=2) if answer.dim() == 3 else answer


def from_yaml(file: Path, trust: Sequence[str]) -> tuple[Encoder, Callable[[], Encoder]]:
    """The encoder of a YAML file, with its weights, and a function that makes one without.

    Raises:
        CheckpointError: for a file that says something else, a class that is not trusted, or weights that do not fit.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CheckpointError(f"{file} cannot be read as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, Mapping) or "class_path" not in content or set(content) - set(KEYS):
        raise CheckpointError(f"{file} describes no encoder: it takes class_path, and may take {', '.join(KEYS[1:])}.")
    path = str(content["class_path"])
    if not is_ours(path) and not lies_in(path, trusted_roots(trust)):
        raise CheckpointError(
            f"{file} asks for the class {path}, which is not trusted.\nIf you know it, give --trust {path.rpartition('.')[0]}."
        )
    found = public_class(path) if is_ours(path) else trusted_object(path, trust)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise CheckpointError(f"{file} asks for {path}, which is no module class.")
    if not isinstance(content.get("init_args") or {}, Mapping):
        raise CheckpointError(f"{file} gives init_args that are no mapping of names to values.")

    def make() -> Encoder:
        return as_encoder(found, content.get("init_args") or {}, content.get("sample_rate"), content.get("segment_samples"))

    encoder = make()
    if content.get("weights"):
        load_state(encoder, file.parent / str(content["weights"]))
    return encoder, make


def find_class(path: str) -> type[nn.Module] | None:
    """The module class of an import path; None when there is none."""
    module, _, name = path.rpartition(".")
    if not module or not path.replace(".", "").isidentifier():
        return None
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def as_encoder(
    cls: type[nn.Module], init_args: Mapping[str, Any] | None = None, sample_rate: int | None = None, segment_samples: int | None = None
) -> Encoder:
    """Make a class, and an encoder of what comes out.

    Raises:
        ConfigError: when it cannot be made from these arguments.
    """
    try:
        module = cls(**(init_args or {}))
    except TypeError as error:
        raise ConfigError(
            f"{cls.__name__} cannot be made: {error}.\nIts arguments can be given in a YAML file (docs/probing.md)."
        ) from error
    return module if isinstance(module, Encoder) else ForeignEncoder(module, sample_rate, segment_samples)


def load_state(encoder: Encoder, file: Path) -> None:
    """Load a state dict strictly into the module inside; nothing pickled is executed.

    Raises:
        CheckpointError: if it cannot be read or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: Any = load_file(file) if file.suffix == ".safetensors" else read_checkpoint(file)
        (encoder.trunk if isinstance(encoder, ForeignEncoder) else encoder).load_state_dict(state.get("state_dict", state))
    except (CheckpointError, OSError, SafetensorError, RuntimeError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The weights {file} cannot be loaded: {' '.join(str(error).split())[:300]}") from error

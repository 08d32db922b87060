"""Load encoders from other packages, by class path or from a YAML file.

Any ``nn.Module`` that maps waveforms to vectors can be used. The YAML file has these keys:

class_path: my.module.Net         # needs --trust my.module; or a name such as musicnn
init_args: {width: 64}
weights: net.safetensors          # optional; or a state dict for torch.load(weights_only=True)
sample_rate: 16000                # not needed if the module has the attribute sample_rate
segment_samples: 32000            # not needed if the module has the attribute segment_samples
whole_clips: true                 # optional; whole clips are embedded without segment_samples
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from semisupcon.encoders.base import Encoder
from semisupcon.errors import CheckpointError, ConfigError, UserError, first_line
from semisupcon.probing.embeddings.identity import described, foreign_classes, without_files
from semisupcon.probing.embeddings.untrained import seeded, untrained
from semisupcon.probing.embeddings.wrapped import ForeignEncoder, missing
from semisupcon.public import is_ours, lies_in, public_class, trusted_object, trusted_roots
from semisupcon.torch_files import read_checkpoint

KEYS = ("class_path", "init_args", "weights", "sample_rate", "segment_samples", "whole_clips")


@dataclass(frozen=True)
class Found:
    """An encoder built from a class path.

    Attributes:
        encoder: encoder with its weights.
        make: function that builds an untrained encoder from a seed.
        described: text that identifies class, arguments, code and files.
        shape: text as in ``described``, without the files that arguments name. Untrained encoders
            with equal texts and seeds are equal.
    """

    encoder: Encoder
    make: Callable[[int], Encoder]
    described: str
    shape: str


def read_description(file: Path) -> dict[str, Any]:
    """Read a YAML file that describes an encoder, and check its keys and values.

    Raises:
        CheckpointError: for a missing or invalid file.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"No file {file} that describes an encoder.") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"{file} cannot be read as YAML: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(content, Mapping) or "class_path" not in content or set(content) - set(KEYS):
        raise CheckpointError(
            f"{file} does not describe an encoder: it needs class_path and may have "
            f"{', '.join(KEYS[1:])}."
        )
    arguments = content.get("init_args") or {}
    if not isinstance(arguments, Mapping) or not all(isinstance(k, str) for k in arguments):
        raise CheckpointError(f"The init_args in {file} are not a mapping of names to values.")
    for name in ("sample_rate", "segment_samples"):
        value = content.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise CheckpointError(f"{name} in {file} must be a whole number, got {value!r}.")
    if content.get("whole_clips") not in (None, True, False):
        raise CheckpointError(f"whole_clips in {file} must be true or false.")
    return dict(content, init_args=dict(arguments))


def from_yaml(file: Path, trust: Sequence[str]) -> Found:
    """Load the encoder of a YAML file with its weights.

    Raises:
        CheckpointError: for an invalid file, a class that is not trusted, or weights that do not
            match.
    """
    content = read_description(file)
    cls = class_of(str(content["class_path"]), trust, f"{file} names")
    found = from_class(
        cls,
        content["init_args"],
        content.get("sample_rate"),
        content.get("segment_samples"),
        content.get("whole_clips"),
        folder=file.parent,
    )
    if content.get("weights"):
        load_state(found.encoder, file.parent / str(content["weights"]))
    return found


def class_of(
    path: str, trust: Sequence[str], where: str = "--checkpoints names"
) -> type[nn.Module]:
    """Import the module class with an import path.

    Args:
        path: import path of a subclass of ``nn.Module``.
        trust: modules outside this package whose classes may be named.
        where: beginning of error messages.

    Raises:
        CheckpointError: for a class that is not trusted or cannot be imported, or for an object
            that is not a module class.
    """
    if not is_ours(path) and not lies_in(path, trusted_roots(trust)):
        raise CheckpointError(
            f"{where} the class {path}, which is not trusted.\nIf you know it, give --trust "
            f"{path.rpartition('.')[0]}."
        )
    try:
        found = public_class(path) if is_ours(path) else trusted_object(path, trust, where)
    except UserError:
        raise
    except Exception as error:  # The import may raise any exception.
        raise CheckpointError(
            f"{where} {path}, whose module cannot be imported: {type(error).__name__}: "
            f"{first_line(error, 200)}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise CheckpointError(
            f"{where} {path}, which is not a module class: it is a {what}.\nGive a subclass of "
            "torch.nn.Module."
        )
    return found


def from_class(
    cls: type[nn.Module],
    init_args: Mapping[str, Any] | None = None,
    sample_rate: int | None = None,
    segment_samples: int | None = None,
    whole_clips: bool | None = None,
    folder: Path | None = None,
) -> Found:
    """Build an encoder from a class.

    Args:
        cls: module class.
        init_args: arguments of the class.
        sample_rate, segment_samples, whole_clips: arguments of `ForeignEncoder`.
        folder: folder to which paths among ``init_args`` are relative.
    """
    arguments = dict(init_args or {})

    def build() -> Encoder:
        return as_encoder(cls, arguments, sample_rate, segment_samples, whole_clips)

    with seeded(0):  # Random weights are then the same in each session.
        encoder = build()
    classes = [*foreign_classes(encoder), cls]
    path = f"{cls.__module__}.{cls.__qualname__}"
    return Found(
        encoder,
        lambda seed: untrained(build, seed, cls.__name__),
        described(path, arguments, classes, folder),
        described(path, without_files(arguments, folder), classes),
    )


def as_encoder(
    cls: type[nn.Module],
    init_args: Mapping[str, Any] | None = None,
    sample_rate: int | None = None,
    segment_samples: int | None = None,
    whole_clips: bool | None = None,
) -> Encoder:
    """Instantiate a class, and wrap the module if it is not an `Encoder`.

    Args:
        cls: module class.
        init_args: arguments of the class.
        sample_rate, segment_samples, whole_clips: arguments of `ForeignEncoder`.

    Raises:
        ConfigError: if the class does not accept the arguments, or its constructor fails.
    """
    try:
        module = cls(**(init_args or {}))
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(missing(cls.__name__, error)) from error
    except TypeError as error:
        raise ConfigError(
            f"{cls.__name__} cannot be instantiated: {first_line(error, 300)}.\nIts arguments can "
            "be given in a YAML file (docs/probing.md)."
        ) from error
    except Exception as error:  # A user constructor may raise any exception.
        raise ConfigError(
            f"{cls.__name__} cannot be instantiated: {type(error).__name__}: "
            f"{first_line(error, 300)}"
        ) from error
    if isinstance(module, Encoder):
        return module
    return ForeignEncoder(module, sample_rate, segment_samples, whole_clips)


def load_state(encoder: Encoder, file: Path) -> None:
    """Load a state dict strictly into an encoder, without executing pickled code.

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

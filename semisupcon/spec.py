"""How a module is written down so that it can be built again: its class path and its arguments, as plain types.

A subclass of `Recorded` remembers the arguments it was constructed with. `spec_of` turns it, and the modules among its arguments, into a
nested dictionary ``{"class_path": ..., "init_args": {...}}`` that goes into checkpoints and JSON; `build` makes the module again. A class
path is imported only when it lies inside this package or was named as trusted: nothing else a stranger's file says is imported or called.
"""

import functools
import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from semisupcon.errors import CheckpointError, ConfigError, UserError

PACKAGE = "semisupcon"
OPTIONAL = ("torchaudio", "timm")  # imported where they are used, and not among the packages that `pip install .` brings


class Recorded(nn.Module):
    """A module that remembers how it was made; every encoder, front end, head, transform, target and criterion is one."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)


def _recording(init):
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs):
        # The outermost constructor is the one to call again; those of base classes run inside it. Binding complains of wrong arguments.
        if "_init_args" not in self.__dict__:
            bound = signature.bind(self, *args, **kwargs).arguments
            variadic = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
            arguments = {k: v for k, v in list(bound.items())[1:] if k not in variadic}
            for name in variadic:
                arguments |= bound.get(name, {})
            object.__setattr__(self, "_init_args", arguments)
        init(self, *args, **kwargs)

    return wrapper


def class_path(cls: type) -> str:
    """The import path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def spec_of(value: Any) -> Any:
    """The plain form of a module or argument.

    Raises:
        TypeError: for an object that is neither a `Recorded` module nor made of plain types.
    """
    if isinstance(value, Recorded):
        return {"class_path": class_path(type(value)), "init_args": {k: spec_of(v) for k, v in getattr(value, "_init_args", {}).items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): spec_of(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [spec_of(v) for v in value]
    raise TypeError(f"{type(value).__name__} cannot be written down as plain types; make it a Recorded module")


def build(spec: Any, trust: Sequence[str] = ()) -> Any:
    """Make again what `spec_of` wrote down.

    Args:
        spec: a nested dictionary of class paths and arguments.
        trust: modules outside this package whose classes may be imported.

    Raises:
        CheckpointError: for a class path outside the package and ``trust``, before anything is imported; for one that is no `Recorded` class.
        ConfigError: for a module that needs a package that is not installed.
    """
    if isinstance(spec, Mapping):
        if set(spec) == {"class_path", "init_args"}:
            cls = _resolve(spec["class_path"], trust)
            arguments = {k: build(v, trust) for k, v in spec["init_args"].items()}
            for name in getattr(cls, "import_paths", ()):  # arguments that will be imported and called
                if isinstance(arguments.get(name), str):
                    _check(arguments[name], trust)
            try:
                return cls(**arguments)
            except UserError:
                raise
            except ModuleNotFoundError as error:
                package = (error.name or "").partition(".")[0]
                if package not in OPTIONAL:
                    raise
                raise ConfigError(f"{cls.__name__} needs {package}, which is not installed: pip install {package}.") from error
            except TypeError as error:
                raise CheckpointError(f"{spec['class_path']} cannot be built from what the file says: {error}") from error
        return {k: build(v, trust) for k, v in spec.items()}
    if isinstance(spec, list | tuple):
        return [build(v, trust) for v in spec]
    return spec


def _check(path: Any, trust: Sequence[str]) -> None:
    if not isinstance(path, str) or not any(path.startswith(f"{root}.") for root in (PACKAGE, *trust)):
        raise CheckpointError(
            f"The file asks for {path!r}, which lies outside {PACKAGE}.\n"
            f"If you know and trust it, allow its module with --trust; nothing was imported."
        )


def _resolve(path: str, trust: Sequence[str]) -> type:
    _check(path, trust)
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name, None)
        if isinstance(found, type) and issubclass(found, Recorded):
            return found
        break
    raise CheckpointError(f"The file asks for {path!r}, which is no module of this version of {PACKAGE}.")

"""How a module is written into a file and built again: its public name and its arguments, as plain types.

A subclass of `Recorded` remembers the arguments it was constructed with. `spec_of` turns it, and the modules among its arguments, into a
nested dictionary ``{"class_path": ..., "init_args": {...}}`` for checkpoints and JSON. `build` makes the module again: classes of this
package are looked up by public name (`semisupcon.public`), classes outside it need trust, functions are never named.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from semisupcon.errors import CheckpointError, ConfigError, UserError, first_line
from semisupcon.public import CLASSES, FUNCTIONS, PACKAGE, is_ours, public_class, public_name, trusted_object, trusted_roots

OPTIONAL = ("timm",)  # imported where they are used, and not among the packages that `pip install .` brings


class Recorded(nn.Module):
    """A module that remembers how it was made; every encoder, front end, head, transform, target and criterion is one."""

    _init_args: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            # Replaced on purpose, by one of the same signature.
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self: Recorded, *args: Any, **kwargs: Any) -> None:
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
    """How files name a class: the public name of one of ours, the import path of any other."""
    return public_name(cls) or f"{cls.__module__}.{cls.__qualname__}"


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


def with_modules(spec: Any) -> Any:
    """The spec with import paths in place of public names, as version 0.1 wrote it; fingerprints of encoders are taken of this form."""
    if isinstance(spec, Mapping):
        spec = {k: with_modules(v) for k, v in spec.items()}
        name = spec.get("class_path")
        return spec | {"class_path": f"{CLASSES[name]}.{name}"} if isinstance(name, str) and name in CLASSES else spec
    return [with_modules(v) for v in spec] if isinstance(spec, list | tuple) else spec


def remake(value: Any) -> Any:
    """A module made anew from the arguments of a living one, with new weights. No name is looked up."""
    if isinstance(value, Recorded):
        return type(value)(**{k: remake(v) for k, v in getattr(value, "_init_args", {}).items()})
    if isinstance(value, Mapping):
        return {k: remake(v) for k, v in value.items()}
    return [remake(v) for v in value] if isinstance(value, list | tuple) else value


def build(spec: Any, trust: Sequence[str] = ()) -> Any:
    """Make again what `spec_of` wrote down.

    Args:
        spec: a nested dictionary of class names and arguments.
        trust: modules outside this package whose classes (and functions) may be imported.

    Raises:
        CheckpointError: for a class that is neither public nor trusted, before anything is imported; for one that is no `Recorded` class;
            for arguments from which it cannot be made.
        ConfigError: for a module that needs a package that is not installed.
    """
    if isinstance(spec, Mapping):
        if set(spec) == {"class_path", "init_args"}:
            return _build(spec["class_path"], spec["init_args"], trust)
        return {k: build(v, trust) for k, v in spec.items()}
    if isinstance(spec, list | tuple):
        return [build(v, trust) for v in spec]
    return spec


def _build(path: Any, init_args: Any, trust: Sequence[str]) -> Recorded:
    cls = _class(path, trust)
    if not isinstance(init_args, Mapping) or not all(isinstance(name, str) for name in init_args):
        raise CheckpointError(f"The file gives {path} no dictionary of arguments but {type(init_args).__name__}.")
    arguments = {k: build(v, trust) for k, v in init_args.items()}
    for name in getattr(cls, "import_paths", ()):  # Arguments that a configuration may give as the import path of a function.
        if isinstance(arguments.get(name), str):
            arguments[name] = _function(arguments[name], trust)
    try:
        return cls(**arguments)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        raise ConfigError(f"{cls.__name__} needs {package}, which is not installed: pip install {package}.") from error
    except Exception as error:  # The arguments are a stranger's: any type, any size.
        raise CheckpointError(f"{path} cannot be built from what the file says: {first_line(error, 300)}") from error


def _class(path: Any, trust: Sequence[str]) -> type[Recorded]:
    trusted_roots(trust)  # A mistake in --trust is answered even where nothing needs it.
    found = public_class(path) if isinstance(path, str) and is_ours(path) else trusted_object(str(path), trust)
    if not (isinstance(found, type) and issubclass(found, Recorded)):
        raise CheckpointError(f"The file asks for {path!r}, which is no module that this version of {PACKAGE} can build.")
    return found


def _function(path: str, trust: Sequence[str]) -> str:
    """The import path of a function that a file may name: one of the short list, or one that is trusted."""
    if path not in FUNCTIONS:
        if is_ours(path):
            raise CheckpointError(f"The file asks for the function {path!r}. Files may not name functions; nothing was imported.")
        trusted_object(path, trust)
    return FUNCTIONS.get(path, path)

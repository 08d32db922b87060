"""Convert a module to a spec (its public name and constructor arguments) and build it again.

A subclass of `Recorded` stores its constructor arguments. `spec_of` converts such a module, and the
modules among its arguments, to a nested dictionary of plain types,
``{"class_path": ..., "init_args": {...}}`` for checkpoints and JSON. `build` builds the module
again. Classes of this package are looked up by public name (`semisupcon.public`). Classes of other
modules must be trusted by the user. A spec cannot name functions, except in trusted modules.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from semisupcon.errors import CheckpointError, ConfigError, UserError, first_line
from semisupcon.public import (
    CLASSES,
    FUNCTIONS,
    PACKAGE,
    is_ours,
    public_class,
    public_name,
    trusted_object,
    trusted_roots,
)

OPTIONAL = ("timm",)  # packages that `pip install .` does not install


class Recorded(nn.Module):
    """A module that stores its constructor arguments.

    It is the base class of encoders, front ends, heads, transforms, targets and criteria.
    """

    _init_args: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            # Replace the constructor by a wrapper with the same signature.
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self: Recorded, *args: Any, **kwargs: Any) -> None:
        # Record only the arguments of the outermost constructor, which calls the constructors of
        # base classes. `bind` raises an error for wrong arguments.
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
    """Return the name of a class in files.

    This is the public name for classes of this package, and the import path for other classes.
    """
    return public_name(cls) or f"{cls.__module__}.{cls.__qualname__}"


def spec_of(value: Any) -> Any:
    """Convert a module or argument to plain types.

    Raises:
        TypeError: if a value is neither a `Recorded` module nor of a plain type.
    """
    if isinstance(value, Recorded):
        return {
            "class_path": class_path(type(value)),
            "init_args": {k: spec_of(v) for k, v in getattr(value, "_init_args", {}).items()},
        }
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): spec_of(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [spec_of(v) for v in value]
    raise TypeError(
        f"{type(value).__name__} cannot be converted to plain types; make it a Recorded module"
    )


def with_modules(spec: Any) -> Any:
    """Return a spec with import paths instead of public names, the format of version 0.1.

    Fingerprints of encoders are computed from this format.
    """
    if isinstance(spec, Mapping):
        spec = {k: with_modules(v) for k, v in spec.items()}
        name = spec.get("class_path")
        return (
            spec | {"class_path": f"{CLASSES[name]}.{name}"}
            if isinstance(name, str) and name in CLASSES
            else spec
        )
    return [with_modules(v) for v in spec] if isinstance(spec, list | tuple) else spec


def remake(value: Any) -> Any:
    """Build a new module from the constructor arguments of an instance, with new weights.

    No class is looked up by name.
    """
    if isinstance(value, Recorded):
        return type(value)(**{k: remake(v) for k, v in getattr(value, "_init_args", {}).items()})
    if isinstance(value, Mapping):
        return {k: remake(v) for k, v in value.items()}
    return [remake(v) for v in value] if isinstance(value, list | tuple) else value


def build(spec: Any, trust: Sequence[str] = ()) -> Any:
    """Build a module from its spec.

    Args:
        spec: output of `spec_of`.
        trust: modules outside this package whose classes (and functions) may be imported.

    Raises:
        CheckpointError: for a class that is neither public nor trusted (checked before any import),
            is not a subclass of `Recorded`, or does not accept the arguments.
        ConfigError: if a module needs a package that is not installed.
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
        raise CheckpointError(
            f"The arguments of {path} in the file must be a dictionary, got "
            f"{type(init_args).__name__}."
        )
    arguments = {k: build(v, trust) for k, v in init_args.items()}
    # `import_paths` lists the arguments whose value may be the import path of a function.
    for name in getattr(cls, "import_paths", ()):
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
        raise ConfigError(
            f"{cls.__name__} needs {package}, which is not installed: pip install {package}."
        ) from error
    except Exception as error:  # Untrusted arguments may have any type and size.
        raise CheckpointError(
            f"{path} cannot be built from the arguments in the file: {first_line(error, 300)}"
        ) from error


def _class(path: Any, trust: Sequence[str]) -> type[Recorded]:
    trusted_roots(trust)  # Report a mistake in --trust even if no module of it is needed.
    found = (
        public_class(path)
        if isinstance(path, str) and is_ours(path)
        else trusted_object(str(path), trust)
    )
    if not (isinstance(found, type) and issubclass(found, Recorded)):
        raise CheckpointError(
            f"The file names {path!r}, which is not a module that this version of {PACKAGE} can "
            "build."
        )
    return found


def _function(path: str, trust: Sequence[str]) -> str:
    """Check and return the import path of a function: it must be in `FUNCTIONS` or in a trusted
    module.
    """
    if path not in FUNCTIONS:
        if is_ours(path):
            raise CheckpointError(
                f"The file names the function {path!r}. Files may not name functions; nothing was "
                "imported."
            )
        trusted_object(path, trust)
    return FUNCTIONS.get(path, path)

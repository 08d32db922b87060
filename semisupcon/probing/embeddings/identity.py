"""Identify modules from other packages by their code, arguments and files.

Cached embeddings become invalid if a source file, an argument or a weight file changes. Therefore
an encoder is identified by the source file of its class, the files of the same package or folder
that it imports, its plain attributes, and the files that its arguments name.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from semisupcon.digests import Hash, digest_of
from semisupcon.errors import CheckpointError

# Packages whose classes need no digest: specs and weights of the encoder identify them.
KNOWN = ("semisupcon", "torch", "torchaudio", "torchvision", "timm", "builtins")
INSTALLED = ("site-packages", "dist-packages")
PLAIN = (bool, int, float, str, bytes, type(None))


def foreign_classes(module: nn.Module) -> list[type]:
    """Return the classes of a module and its submodules that come from other packages, sorted.

    Other packages are all except those in `KNOWN`.
    """
    classes = {type(part) for part in module.modules()}
    return sorted(
        (c for c in classes if c.__module__.partition(".")[0] not in KNOWN),
        key=lambda c: f"{c.__module__}.{c.__qualname__}",
    )


def code_of(cls: type) -> list[list[str]]:
    """Return the source files of a class, as pairs of module name and digest.

    These are the file of the class, and all files of its top-level package that it imports,
    directly or indirectly. For a module outside a package, the files are those of its folder. For
    an installed package, the result is its name and version. The list is empty for a class without
    a source file, such as one of an interactive session.
    """
    module = sys.modules.get(cls.__module__)
    file = _file(module)
    if module is None or file is None:
        return []
    if any(part in INSTALLED for part in file.parts):
        return [[module.__name__, _version(module.__name__)]]
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    folder = (_file(top) or file).parent
    seen: dict[str, list[str]] = {}
    waiting = [module]
    while waiting:
        found = waiting.pop()
        place = _file(found)
        if place is None or found.__name__ in seen or not _lies_in(place, folder):
            continue
        seen[found.__name__] = [found.__name__, _content(place)]
        waiting += list(_used(found, place))
    return [seen[name] for name in sorted(seen)]


def files_of(arguments: Any, folder: Path | None = None) -> list[list[str]]:
    """Return the files that arguments name, as pairs of argument and digest of the content.

    Args:
        arguments: plain values, nested in lists and mappings.
        folder: folder in which relative paths are searched, after the current folder.
    """
    if isinstance(arguments, Mapping):
        return [pair for value in arguments.values() for pair in files_of(value, folder)]
    if isinstance(arguments, Sequence) and not isinstance(arguments, str | bytes):
        return [pair for value in arguments for pair in files_of(value, folder)]
    if not isinstance(arguments, str | Path) or not str(arguments) or "\0" in str(arguments):
        return []
    for path in dict.fromkeys([Path(arguments), *([folder / arguments] if folder else [])]):
        try:
            if path.is_file():
                return [[str(arguments), _content(path)]]
            if path.is_dir():
                return [[str(arguments), _listing(path)]]
        except OSError:  # for example if the text is too long for a file name
            continue
    return []


def without_files(arguments: Any, folder: Path | None = None) -> Any:
    """Return the arguments with names of existing files and folders replaced by None."""
    if isinstance(arguments, Mapping):
        return {name: without_files(value, folder) for name, value in arguments.items()}
    if isinstance(arguments, Sequence) and not isinstance(arguments, str | bytes):
        return [without_files(value, folder) for value in arguments]
    return None if files_of(arguments, folder) else arguments


def add_other_state(digest: Hash, module: nn.Module) -> None:
    """Add the state of a module that `semisupcon.digests.add_weights` leaves out to a digest.

    For all submodules, this is: non-persistent buffers, tensors and arrays that are not buffers,
    and plain attributes.
    """
    for name, part in module.named_modules():
        unsaved = {key: part._buffers[key] for key in part._non_persistent_buffers_set}
        values = {k: v for k, v in vars(part).items() if not k.startswith("_") and k != "training"}
        for key, value in sorted((unsaved | values).items()):
            digest.update(f"{name}.{key} ".encode())
            if isinstance(value, torch.Tensor):
                value = value.detach().cpu().numpy() if value.dtype != torch.bfloat16 else None
            if isinstance(value, np.ndarray) and value.dtype != object:
                digest.update(f"{value.dtype} {value.shape}".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
            elif _is_plain(value):
                digest.update(repr(value).encode())


def described(
    path: str,
    arguments: Mapping[str, Any],
    classes: Sequence[type],
    folder: Path | None = None,
) -> str:
    """Return a text that identifies a module by class path, arguments, code and files.

    Args:
        path: import path of the class.
        arguments: arguments of the constructor.
        classes: class of the module, and classes of its submodules from other packages.
        folder: folder to which paths among the arguments are relative.
    """
    code = sorted({tuple(pair) for cls in classes for pair in code_of(cls)})
    content = [path, arguments, code, files_of(arguments, folder)]
    return json.dumps(content, sort_keys=True, default=str)


def short(text: str) -> str:
    """Return a digest of a text, with 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _used(module: ModuleType, file: Path) -> Iterator[ModuleType]:
    """Yield the loaded modules that the source file of a module imports."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(base, module.__package__)
            except ImportError:
                continue
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    yield from (sys.modules[name] for name in names if name in sys.modules)


def _file(module: ModuleType | None) -> Path | None:
    if module is None:
        return None
    try:
        file = inspect.getsourcefile(module)
    except TypeError:
        return None
    return Path(file).resolve() if file and Path(file).is_file() else None


def _lies_in(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder) and not any(
        part in INSTALLED for part in file.relative_to(folder).parts
    )


def _content(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error.strerror}.") from error


def _listing(folder: Path) -> str:
    """Return a digest of the names, sizes and modification times of the files in a folder."""
    found = []
    for file in sorted(folder.rglob("*"))[:10_000]:
        if file.is_file():
            status = file.stat()
            name = file.relative_to(folder).as_posix()
            found.append([name, status.st_size, status.st_mtime_ns])
    return short(json.dumps(found))


def _version(module: str) -> str:
    top = module.partition(".")[0]
    for name in importlib.metadata.packages_distributions().get(top, [top]):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return top


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(k) and _is_plain(v) for k, v in value.items())
    return isinstance(value, PLAIN)

"""Identity of modules from other packages: a digest of code, arguments and files, without weights.

The cache of embeddings must notice an edited source file, another argument, and another weight
file. The digest covers the source file of a class, the files of its own package or folder that it
imports, plain attributes, and files that its arguments name.
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

# Their classes are identified by the specs and weights of the encoders that hold them.
KNOWN = ("semisupcon", "torch", "torchaudio", "torchvision", "timm", "builtins")
INSTALLED = ("site-packages", "dist-packages")
PLAIN = (bool, int, float, str, bytes, type(None))


def foreign_classes(module: nn.Module) -> list[type]:
    """Classes outside this package and its libraries, of a module and its submodules, sorted."""
    classes = {type(part) for part in module.modules()}
    return sorted(
        (c for c in classes if c.__module__.partition(".")[0] not in KNOWN),
        key=lambda c: f"{c.__module__}.{c.__qualname__}",
    )


def code_of(cls: type) -> list[list[str]]:
    """Source files behind a class, as pairs of module name and digest of its file.

    They are the file of the class, and the files of its top-level package that it imports, directly
    or not; for a module outside any package, the files in its folder. An installed package is
    described by its version instead. Empty if the class has no source file (an interactive
    session).
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
    """Files that arguments name, as pairs of the argument and the digest of the content.

    Args:
        arguments: plain values, nested.
        folder: folder of relative paths, beside the current one.
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
        except OSError:  # such as a text too long for a name
            continue
    return []


def without_files(arguments: Any, folder: Path | None = None) -> Any:
    """The arguments with None in place of the names of existing files and folders."""
    if isinstance(arguments, Mapping):
        return {name: without_files(value, folder) for name, value in arguments.items()}
    if isinstance(arguments, Sequence) and not isinstance(arguments, str | bytes):
        return [without_files(value, folder) for value in arguments]
    return None if files_of(arguments, folder) else arguments


def add_other_state(digest: Hash, module: nn.Module) -> None:
    """Add everything that `semisupcon.digests.add_weights` leaves out: buffers that are not saved,
    tensors and arrays that are no buffers, and plain attributes of all submodules.
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
    """Text that identifies a module built from a class path: arguments, code, and files.

    Args:
        path: import path of the class.
        arguments: arguments of the constructor.
        classes: its class, and the classes of its submodules outside this package.
        folder: folder of relative paths among the arguments.
    """
    code = sorted({tuple(pair) for cls in classes for pair in code_of(cls)})
    content = [path, arguments, code, files_of(arguments, folder)]
    return json.dumps(content, sort_keys=True, default=str)


def short(text: str) -> str:
    """A digest of 16 hexadecimal digits of a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _used(module: ModuleType, file: Path) -> Iterator[ModuleType]:
    """Loaded modules that the source file of a module imports, or imports a name from."""
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
    """Names, sizes and times of the files of a folder."""
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

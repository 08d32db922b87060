"""Read YAML configurations and merge several of them.

All commands with ``--config`` use `layered`. A later file overrides an earlier one. Mappings are
merged, lists are replaced, null clears a value, and ``name+`` appends to the list ``name``. A file
may list base files with paths relative to its folder: ``builds_on: [../base/small.yaml]``. Base
files are merged first, in order.

A class is written in one of three ways: as ``{class_path: NAME, init_args: {...}}``, as NAME, or as
the ``init_args`` alone if an earlier file names the class. If a later file names another class, the
options that both classes have keep their values.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.errors import ConfigError
from semisupcon.written import Scalar, at_home

if TYPE_CHECKING:
    from yaml import SafeLoader

Accepts = Callable[[str, str, Any], bool]
BUILDS_ON = "builds_on"
_SPEC = {"class_path", "init_args", "dict_kwargs"}
# YAML 1.1 reads 1e-3 as text. This pattern reads it as a number. Dates are read as text. Both are
# as in jsonargparse, which parses the command line.
_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.X,
)


def read_yaml(path: str | Path, scalars: bool = False) -> dict[str, Any]:
    """Read a YAML file that contains a mapping; return ``{}`` for an empty file.

    A leading ``~/`` in the path and in values is expanded.

    Args:
        path: the file.
        scalars: return plain scalars that are not text (numbers, booleans, null) as `Scalar`
            objects, which keep the original text.

    Raises:
        ConfigError: if the file cannot be read, is not valid YAML, or does not hold a mapping.
    """
    import yaml

    try:
        content = yaml.load(
            Path(path).expanduser().read_text(encoding="utf-8"),
            Loader=_scalar_loader() if scalars else _loader(),
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The configuration cannot be read: "
            f"{getattr(error, 'strerror', None) or 'it is not text'}.\nIn: {path}"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem, mark = (
            getattr(error, "problem", None) or str(error),
            getattr(error, "problem_mark", None),
        )
        place = f"{path}, line {mark.line + 1}" if mark else path
        said = " ".join(problem.split())
        wrong = (
            said[0].upper() + said[1:]
            if "given twice" in said
            else f"The configuration is not valid YAML: {said}"
        )
        raise ConfigError(f"{wrong}.\nIn: {place}") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"The configuration is not a mapping of names to values.\nIn: {path}")
    return at_home(content or {})


def read_scalars(text: str) -> Any:
    """Parse a command-line value as YAML.

    Numbers, booleans and null become `Scalar` objects, which keep the original text. Text is
    returned as the user typed it.
    """
    import yaml

    try:
        content = yaml.load(text, Loader=_scalar_loader())
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    if isinstance(content, list | dict) or text.lstrip()[:1] in ("'", '"'):
        return content
    # YAML would drop a part that looks like a comment, such as "#2" in "take #2".
    value = content.value if isinstance(content, Scalar) else content
    return (
        Scalar(text, value)
        if isinstance(content, Scalar) or (value is None and not text.strip())
        else text
    )


def read_value(text: str) -> Any:
    """Parse a command-line value as YAML; return it unchanged if it is not valid YAML."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def layered(
    paths: Iterable[str | Path],
    accepts: Accepts | None = None,
    read: Callable[[str | Path], dict[str, Any]] = read_yaml,
) -> dict[str, Any]:
    """Merge YAML files into one mapping; later files override earlier ones. No files give ``{}``.

    Args:
        paths: YAML files, in order.
        accepts: function (class path, option name, value) -> bool. It returns whether the class has
            this option and the option accepts the value. None accepts all.
        read: function that reads one file.

    Raises:
        ConfigError: for a file that cannot be read, is not valid YAML, does not hold a mapping, or
            names itself as a base file.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = lay_over(merged, _built(Path(path), accepts, read, ()), accepts)
    return merged


def _built(
    path: Path,
    accepts: Accepts | None,
    read: Callable[[str | Path], dict[str, Any]],
    above: tuple[Path, ...],
) -> dict[str, Any]:
    """Return one file merged over its base files.

    ``above`` has the files that use this file as a base; it serves to detect cycles.
    """
    if path.resolve() in above:
        raise ConfigError(f"{BUILDS_ON}: a configuration builds on itself.\nIn: {above[-1]}")
    content = dict(read(path))
    names = content.pop(BUILDS_ON, None) or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{BUILDS_ON} takes a list of YAML files, got {names}.\nIn: {path}")
    merged: dict[str, Any] = {}
    for name in names:
        if not (below := path.parent / name).is_file():
            raise ConfigError(f"{BUILDS_ON} names a file that does not exist: {name}.\nIn: {path}")
        merged = lay_over(merged, _built(below, accepts, read, (*above, path.resolve())), accepts)
    return lay_over(merged, content, accepts)


def lay_over(below: Any, above: Any, accepts: Accepts | None = None) -> Any:
    """Merge the configuration ``above`` over ``below``, by the rules in the docstring of this
    module.
    """
    below, above = _alike(below, above), _alike(above, below)
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    old, new = below.get("class_path"), above.get("class_path")
    if isinstance(old, str) and isinstance(new, str) and _bare(old) != _bare(new):
        kept = below.get("init_args") or {}
        below = {
            "init_args": {k: v for k, v in kept.items() if accepts is None or accepts(new, k, v)}
        }
    merged = dict(below)
    for name, value in above.items():
        if (plain := str(name).removesuffix("+")) != str(name) and (
            plain in merged or name in merged
        ):
            plain = plain if plain in merged else name
            merged[plain] = [*_listed(merged[plain]), *_listed(value)]
        else:
            merged[name] = lay_over(below[name], value, accepts) if name in below else value
            merged.pop(f"{name}+", None)
    return merged


def section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options of a section such as ``data``.

    The section may be written with or without ``class_path`` and ``init_args``.

    Raises:
        ConfigError: if the section is not a mapping.
    """
    content = config.get(name)
    if content is not None and not isinstance(content, Mapping):
        raise ConfigError(
            f"The section '{name}' of the configuration is not a mapping of names to values."
        )
    content = dict(content or {})
    return dict(content.get("init_args") or {}) if _SPEC & content.keys() else content


def _alike(value: Any, other: Any) -> Any:
    """Convert a class from short form to ``class_path`` and ``init_args``.

    The class is converted only if ``other`` has the long form.
    """
    if not isinstance(other, Mapping) or not _SPEC & other.keys():
        return value
    if isinstance(value, str):
        return {"class_path": value}
    return (
        {"init_args": value}
        if isinstance(value, Mapping) and value and not _SPEC & value.keys()
        else value
    )


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _bare(class_path: str) -> str:
    return class_path.rpartition(".")[2]


@functools.cache
def _loader() -> "type[SafeLoader]":
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML loader that parses numbers like the command line and rejects duplicate names."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            first: dict[str, int] = {}
            for key, _ in node.value:
                name = str(key.value)
                if name in first and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.composer.ComposerError(
                        None,
                        None,
                        f"'{name}' is given twice, first in line {first[name]}",
                        key.start_mark,
                    )
                first[name] = key.start_mark.line + 1
            return node

    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, pattern) for tag, pattern in found if not tag.endswith((":float", ":timestamp"))
        ]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
    return Loader


@functools.cache
def _scalar_loader() -> "type[SafeLoader]":
    base: Any = _loader()

    class Loader(base):
        """YAML loader that returns plain scalars as `Scalar` objects with the original text."""

    def construct(loader: Any, node: Any) -> Any:
        value = base.yaml_constructors[node.tag](loader, node)
        return Scalar(node.value, value) if node.style is None else value

    for kind in ("bool", "int", "float", "null"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", construct)
    return Loader

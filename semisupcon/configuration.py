"""Read YAML configurations and merge several of them.

All commands with ``--config`` use `layered`. A later file overrides an earlier one. Mappings are
merged, lists are replaced, null clears a value, and ``name+`` appends to the list ``name``. A file
may list base files, relative to itself: ``builds_on: [../base/small.yaml]``. They are merged first,
in order.

A class is written as ``{class_path: NAME, init_args: {...}}``, as NAME, or as the ``init_args`` for
the class of an earlier file. If a file names another class, options of the earlier class that the
new class also has are kept.
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
# YAML 1.1 reads 1e-3 as text. As in jsonargparse, which parses the command line, this pattern reads
# it as a number, and dates are text.
_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.X,
)


def read_yaml(path: str | Path, scalars: bool = False) -> dict[str, Any]:
    """Read the mapping in a YAML file; ``{}`` for an empty file.

    A leading ``~/`` in the path and in values is expanded.

    Args:
        path: the file.
        scalars: return plain scalars other than text as `Scalar`, with their text.

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
    """Parse a command-line value as YAML, with a `Scalar` for every plain scalar that is not text;
    text stays as typed.
    """
    import yaml

    try:
        content = yaml.load(text, Loader=_scalar_loader())
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    if isinstance(content, list | dict) or text.lstrip()[:1] in ("'", '"'):
        return content
    # YAML would remove a comment, as in "take #2".
    value = content.value if isinstance(content, Scalar) else content
    return (
        Scalar(text, value)
        if isinstance(content, Scalar) or (value is None and not text.strip())
        else text
    )


def read_value(text: str) -> Any:
    """Parse a command-line value as YAML; return the text itself if it is not valid YAML."""
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
    """Merge YAML files into one mapping, each over the previous ones; ``{}`` for none.

    Args:
        paths: YAML files, in order.
        accepts: function (class path, option, value) -> whether the class has an option that
            accepts the value. None accepts all.
        read: function that reads one file.

    Raises:
        ConfigError: for a file that cannot be read, is not valid YAML, does not hold a mapping, or
            builds on itself.
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
    """One file merged over its base files. ``above``: the files that build on this one."""
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
    """Merge one configuration over another, by the rules of this module."""
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
    """The options of a section such as ``data``, given with or without ``class_path`` and
    ``init_args``.

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
    """Convert a class in short form to the long form if ``other`` has the long form."""
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
        """Parses numbers as on the command line; a duplicate name is an error."""

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
        """Returns plain scalars with their text."""

    def construct(loader: Any, node: Any) -> Any:
        value = base.yaml_constructors[node.tag](loader, node)
        return Scalar(node.value, value) if node.style is None else value

    for kind in ("bool", "int", "float", "null"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", construct)
    return Loader

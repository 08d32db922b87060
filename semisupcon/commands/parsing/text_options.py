"""Keep the values of text options exactly as the user wrote them.

jsonargparse parses every value as YAML before it checks the type of the option, so ``007`` would
become 7 and ``[yes, on]`` two booleans. Therefore the values of options that take only text are
quoted before they are parsed. Options of tasks are replaced by marked text
(`semisupcon.written.marked`) and converted later to the types in the signature of the task's
function.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from jsonargparse import Namespace

from semisupcon.commands.parsing.parser import plain_name
from semisupcon.configuration import read_scalars, read_value
from semisupcon.datasets import find_task
from semisupcon.datasets.parsing.options import read_options
from semisupcon.errors import ConfigError
from semisupcon.written import Scalar, Text, as_text, at_home, marked, resolved, unmarked

_HOLDERS = (list, tuple, set, dict, Sequence, Mapping)
# Option with the options of a task -> option with the name of the task.
OF_TASKS = {"sl_kwargs": "sl_task", "ssl_kwargs": "ssl_task", "task_kwargs": "tasks"}


def takes_text(hint: Any) -> bool:
    """Return whether a type hint accepts only text, lists or mappings of text, or null."""
    union = get_origin(hint) in (Union, UnionType)
    members = [m for m in (get_args(hint) if union else (hint,)) if m is not NoneType]
    return bool(members) and all(
        member is str or (get_origin(member) in _HOLDERS and set(get_args(member)) - {...} == {str})
        for member in members
    )


def quoted_words(words: Iterable[str], type_of: Callable[[str], Any]) -> list[str]:
    """Quote the values of text options and of task options on a command line.

    Args:
        words: the command line.
        type_of: function that returns the type hint of an option by name, or None.

    Returns the command line for jsonargparse.
    """
    result, words = [], list(words)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not name.startswith("--") or (not equals and (not words or words[0].startswith("--"))):
            result.append(word)
            continue
        of_task = set(plain_name(name).split(".")) & OF_TASKS.keys()
        if not of_task and (value if equals else words[0])[:1] not in ("[", "{"):
            result.append(word)
            continue
        value = value if equals else words.pop(0)
        content = read_scalars(value)
        if of_task and (
            isinstance(content, dict) or plain_name(name).rpartition(".")[2] not in OF_TASKS
        ):
            value = marked(content)
            value = value if isinstance(value, str) else to_yaml(value, flow=True)
        elif (
            isinstance(content, list | dict)
            and not of_task
            and takes_text(type_of(plain_name(name)))
        ):
            value = to_yaml(as_text(content), flow=True)
        result += [f"{name}={value}"] if equals else [name, value]
    return result


class _Dumper(yaml.SafeDumper):
    """YAML dumper that also quotes text such as 1e3, which jsonargparse reads as a number."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", str(text), style=None if read_value(text) == text else "'"
    )


_Dumper.add_representer(str, _represent_text)


def to_yaml(content: Any, flow: bool = False) -> str:
    """Write YAML that jsonargparse reads back unchanged; ``flow`` puts it on one line."""
    return yaml.dump(
        content,
        Dumper=_Dumper,
        default_flow_style=flow,
        allow_unicode=True,
        width=1 << 30,
        sort_keys=False,
    ).strip()


def quoted_config(
    content: Any, type_of: Callable[[str], Any], prefix: str = "", of_task: bool = False
) -> Any:
    """Replace each `Scalar` of a configuration according to the type of its option.

    Values of text options become text, task options become marked text, and other values become
    what YAML reads.

    Args:
        content: configuration, or a part of one.
        type_of: function that returns the type hint of an option by full name, or None.
        prefix: full name of the part with a final dot; empty for a whole configuration.
        of_task: whether the part has the options of a task.
    """
    if of_task:
        return marked(content)
    if not isinstance(content, dict):
        return (
            as_text(content)
            if _has_scalar(content) and takes_text(type_of(prefix.rstrip(".")))
            else resolved(content)
        )
    if prefix and _has_scalar(content) and takes_text(type_of(prefix.rstrip("."))):
        return as_text(content)
    return {
        name: quoted_config(
            value, type_of, prefix if name == "init_args" else f"{prefix}{name}.", name in OF_TASKS
        )
        for name, value in ((getattr(name, "text", name), value) for name, value in content.items())
    }


def _has_scalar(content: Any) -> bool:
    if isinstance(content, Mapping):
        return any(map(_has_scalar, (*content, *content.values())))
    return isinstance(content, Scalar) or (
        isinstance(content, list) and any(map(_has_scalar, content))
    )


def lone_nulls(content: Any) -> Any:
    """Replace each `Scalar` of the value null by None, except in task options and in lists."""
    if not isinstance(content, dict):
        return content
    return {
        name: value
        if name in OF_TASKS and isinstance(value, dict)
        else None
        if _is_null(value)
        else lone_nulls(value)
        for name, value in content.items()
    }


def _is_null(value: Any) -> bool:
    return isinstance(value, Scalar) and value.value is None


def read_task_options(parsed: Any) -> None:
    """Convert the task options of a parsed configuration, in place.

    Each value gets the type in the signature of the function of its task.

    Raises:
        ConfigError: if a value cannot have this type.
    """
    for name, value in list(_items(parsed)):
        if name not in OF_TASKS:
            read_task_options(value)
        elif isinstance(value, Mapping | Namespace):
            tasks = (
                parsed.get(OF_TASKS[name])
                if isinstance(parsed, Mapping)
                else getattr(parsed, OF_TASKS[name], None)
            )
            options = dict(_items(value))
            parsed[name] = (
                _of_tasks(tasks, options) if name == "task_kwargs" else _of_task(tasks, options)
            )


def at_home_everywhere(parsed: Any) -> Any:
    """Replace a leading ``~/`` by the home directory in all options, in place; return them."""
    for name, value in list(_items(parsed)):
        if isinstance(value, Namespace):
            at_home_everywhere(value)
        elif (changed := at_home(value)) is not value:
            parsed[name] = changed
    return parsed


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Namespace):
        return vars(value).items()
    return value.items() if isinstance(value, Mapping) else ()


def _of_tasks(tasks: Any, options: dict) -> dict:
    texts = [
        part
        for item in (tasks if isinstance(tasks, list) else [tasks])
        for part in str(item).split(",")
    ]
    task_of = {text.partition("=")[0]: text.partition("=")[2] or text for text in texts}
    named = [
        (unmarked({name: None}, read_value).popitem()[0], given) for name, given in options.items()
    ]
    return {
        name: _of_task(task_of.get(name), dict(given)) if isinstance(given, Mapping) else given
        for name, given in named
    }


def _of_task(task: str | None, options: dict) -> dict:
    try:
        function = find_task(task) if isinstance(task, str) and task else None
    except (ConfigError, ImportError):  # The error is reported when the task is loaded.
        function = None
    return _kept(read_options(str(task), function, options))


def _kept(value: Any) -> Any:
    """Convert text to `Text` if a parser would read it as another YAML type, such as a number."""
    if isinstance(value, str):
        return value if read_value(value) == value else Text(value)
    if isinstance(value, list):
        return list(map(_kept, value))
    return {name: _kept(item) for name, item in value.items()} if isinstance(value, dict) else value


def gather_task_options(args: list[str], name: str = "--task_kwargs") -> list[str]:
    """Join the options of each task on a command line into one argument.

    All options ``--task_kwargs.TASK.OPTION VALUE`` become ``--task_kwargs.TASK={...}`` with a JSON
    dictionary.

    Raises:
        ConfigError: if an option has no value.
    """
    rest: list[str] = []
    given: dict[str, dict[str, Any]] = {}
    args = list(args)
    while args:
        option, equals, value = args.pop(0).partition("=")
        path = option.removeprefix(f"{name}.").split(".", 1)
        if not option.startswith(f"{name}.") or len(path) < 2:
            rest.append(option + equals + value)
            continue
        if not equals and (not args or args[0].startswith("--")):
            raise ConfigError(f"{option} needs a value.")
        given.setdefault(path[0], {})[path[1]] = marked(
            read_scalars(value if equals else args.pop(0))
        )
    return rest + [f"{name}.{task}={json.dumps(options)}" for task, options in given.items()]

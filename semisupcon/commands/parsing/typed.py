"""jsonargparse parser with our error messages, classes by name, and several ``--config`` files."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser
from jsonargparse._typehints import ActionTypeHint, get_all_subclass_paths, get_class_types

from semisupcon.commands.parsing.given_options import GivenOptions
from semisupcon.commands.parsing.parser import listing, plain_name
from semisupcon.commands.parsing.text_options import (
    at_home_everywhere,
    quoted_words,
    read_task_options,
    to_yaml,
)
from semisupcon.configuration import read_yaml
from semisupcon.errors import ConfigError, import_failure, nearest
from semisupcon.public import is_ours
from semisupcon.written import unmarked_text

_KEY = r'Parser key "(?P<key>[^"]+)"'
_OPTION = r"Option '(?P<option>[^']+)' is not accepted|Group '(?P<group>[^']+)' does not accept option '(?P<member>[^']+)'"
_CLASS = r"Expected a dot import path string: (?P<name>\S+)|given class_path '(?P<path>[^']+)':\s+(?:No module|module )"
_OTHER = r"Import path (?P<other>\S+) does not correspond to a subclass of (?P<base>\w+)"
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "a mapping",
}


def take_configs(
    words: list[str], names: tuple[str, ...] = ("--config",)
) -> tuple[list[str], list[str]]:
    """Split a command line into the values of ``--config`` and the remaining words.

    Args:
        words: the command line.
        names: spellings of the option, such as ``("--config", "-c")``.
    """
    paths, rest, words = [], [], list(words)
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name in names and (equals or (words and not words[0].startswith("--"))):
            paths.append(value if equals else words.pop(0))
        else:
            rest.append(name + equals + value)
    return paths, rest


class Typed(GivenOptions):
    """Mixin that adds ``--config`` files and our error messages to a jsonargparse parser.

    All ``--config`` files are merged before the command line is parsed; the command line overrides
    them.
    """

    def parse_args(self, args: Any = None, namespace: Any = None, *more: Any, **kwargs: Any) -> Any:
        self.words = [str(word) for word in (sys.argv[1:] if args is None else args)]
        self.refuse_empty()
        parsed = self._parse_words(namespace, *more, **kwargs)
        read_task_options(parsed)
        return at_home_everywhere(parsed)

    def _parse_words(self, *more: Any, **kwargs: Any) -> Any:
        action = next((a for a in self._actions if isinstance(a, ActionConfigFile)), None)
        if action is None:
            return super().parse_args(quoted_words(self.words, self._types().get), *more, **kwargs)
        paths, rest = take_configs(self.words, tuple(action.option_strings))
        try:
            self.config = self.read_files(paths)
        except ConfigError as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(2) from error
        groups = self.groups or {}
        # Ignore a section that is null in a file, so that its options keep their defaults.
        given = {
            name: value
            for name, value in self.config.items()
            if value is not None or name not in groups
        }
        configs = [f"{action.option_strings[-1]}={to_yaml(given)}"] if given else []
        return super().parse_args(
            [*configs, *quoted_words(rest, self._types().get)], *more, **kwargs
        )

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error message and exit with status 2.

        If this is the nested parser of a class, raise the error, which the parser of the command
        then prints.
        """
        if not self.exit_on_error:
            ArgumentParser.error(self, message, ex)
        super().error(message, ex)

    def answer(self, message: str) -> str:
        """Rephrase a jsonargparse message and suggest the most similar option, class or value."""
        message = self._of_chosen_class(unmarked_text(message))
        # Report a missing argument first, also if its class is one of the types of a Union.
        if missing := re.search(
            r"following arguments are required: ([\w.]+(?:, [\w.]+)*)", message
        ):
            return super().answer(f"the following arguments are required: {missing[1]}")
        found, path = None, "".join(re.findall(r"^--(\S+)\.help: ", message))
        for found in re.finditer("|".join((_KEY, _OPTION, _CLASS, _OTHER)), message):
            if found["key"]:
                path = f"{path}.{found['key']}" if path and path != found["key"] else found["key"]
            elif found["option"] or found["group"]:
                name = ".".join(
                    filter(None, (path, found["group"], found["member"] or found["option"]))
                )
                return self.unknown(f"--{name}")
            else:
                break
        value = re.findall(
            r"(?:Got|Given) value: (.*?)(?:\. Got value: .*)?$", message, re.MULTILINE
        )
        types = self._expected(message)
        wrong = found and path and (found["name"] or found["path"] or found["other"])
        if found and wrong and (not types or re.fullmatch(r"(\w+\.)*[A-Z]\w*", wrong)):
            return self._no_class(path, wrong, found["base"])
        if path and types and value:
            meant = (
                ""
                if value[0].isdigit()
                else nearest(value[0], [t for t in types if t not in _TYPES.values()])
            )
            return f"--{path} takes {listing(types)}, got '{value[0]}'.{meant}{self._source(path)}"
        if path and (
            several := re.search(
                r"Multiple subclasses with name (\w+)\..*ambiguity: (.+?)\.?$",
                message,
                re.MULTILINE,
            )
        ):
            return f"--{path} {several[1]} is the name of several classes; give the full path: {several[2]}.{self._source(path)}"
        if path and (given := re.search(r"Unable to load config ['\"](.*?)['\"]", message)):
            return f"--{path} takes a mapping of options, or a YAML file that holds one, got '{given[1]}'.{self._source(path)}"
        if path and not types and "Subtypes: [<class" in message and value:
            return f"--{path} takes a class, or a mapping of the options of its class, got '{value[0]}'.{self._source(path)}"
        if path and (module := re.search(r"No module named '[\w.]+'", message)):
            return f"--{path}: {import_failure(ModuleNotFoundError(module[0]))}{self._source(path)}"
        return super().answer(message)

    def _of_chosen_class(self, message: str) -> str:
        """Return the part of an error message that concerns the chosen class.

        jsonargparse reports an error for each type of a Union. Other messages are returned
        unchanged.
        """
        found = re.search(
            r"^    - Problem with given class_path.*\n((?: {8}.*\n?)+)", message, re.MULTILINE
        )
        if found is None or "Union" not in message.partition("Errors:")[0]:
            return message
        key = re.match(_KEY, message)
        return f"{key[0]}:\n{found[1]}" if key else message

    def unknown(self, word: str) -> str:
        """Return the error message for an unknown option, with the file that contains it."""
        name = plain_name(word)
        section = name.rpartition(".")[0]
        of_a_class = any(option.startswith(f"{section}.") for option in self.options())
        if (
            get_class_types(getattr(self._action(section), "_typehint", None))
            and not of_a_class
            and name not in self.old_names
        ):
            return f"There is no option --{name} while --{section} has no class. Give --{section} CLASS before it."
        return super().unknown(word) + self._source(name)

    def _no_class(self, option: str, wrong: str, base: str | None) -> str:
        """Return the error message for a class that does not exist or does not fit its option.

        Args:
            option: full name of the option.
            wrong: name or import path of the class.
            base: required base class, if the class exists.
        """
        action = self._action(option)
        paths = (
            get_all_subclass_paths(action._typehint) if isinstance(action, ActionTypeHint) else []
        )
        names = [
            name for name in (path.rpartition(".")[2] for path in paths) if not name.startswith("_")
        ]
        if (module := wrong.rpartition(".")[0]) and not base and not is_ours(wrong):
            try:
                importlib.import_module(module)
            except (ImportError, TypeError, ValueError) as error:
                return f"--{option}: {wrong} cannot be imported: {import_failure(error)}{self._source(option)}"
        said = (
            f"--{option} takes a subclass of {base}, got {wrong}."
            if base
            else f"There is no class {wrong} for --{option}."
        )
        return said + nearest(wrong.rpartition(".")[2], names) + self._source(option)

    def _source(self, name: str) -> str:
        """Return a line with the file that sets an option; empty if the command line sets it."""
        if any(plain_name(word) == name for word in self.words):
            return ""
        return "".join(
            [f"\nIn: {file}" for file in self.files if name in set(_names(read_yaml(file)))][-1:]
        )

    def _expected(self, message: str) -> list[str]:
        """Return the types and choices that an option accepts, in words, from a parser's message.

        Classes and null are left out.
        """
        said: list[str] = []
        for expected in re.findall(
            r"Expected a (<class '[\w.]+'>|typing\.Literal\[.*?\])", message
        ):
            if expected.startswith("typing"):
                said += [
                    choice.strip("'")
                    for choice in expected[len("typing.Literal[") : -1].split(", ")
                ]
            elif (name := expected.split("'")[1].rpartition(".")[2]) != "NoneType":
                said.append(_TYPES.get(name, name))
        return list(dict.fromkeys(said))


class TypedParser(Typed, ArgumentParser):
    """jsonargparse's parser with our error messages."""


def _names(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield the full names of all options in a configuration, such as ``data.batch_size``."""
    for name, value in config.items() if isinstance(config, Mapping) else ():
        yield plain_name(f"{prefix}{name}")
        yield from _names(value, prefix if name == "init_args" else f"{prefix}{name}.")

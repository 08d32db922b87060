"""Find the options of a command that uses jsonargparse.

The options depend on the classes that the command line and the ``--config`` files choose. This
module merges the files, finds the chosen classes, and lists the options of each class.
"""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse._common import parser_context
from jsonargparse._typehints import ActionTypeHint, get_all_subclass_paths, get_class_types
from torch import nn

from semisupcon.commands.parsing.parser import Answers, long_options, plain_name
from semisupcon.commands.parsing.text_options import lone_nulls, quoted_config
from semisupcon.configuration import lay_over, layered, read_yaml
from semisupcon.public import CLASSES, public_class
from semisupcon.recipes import PRETRAINING, find_config
from semisupcon.written import resolved

if TYPE_CHECKING:

    class _Mixed(Answers, ArgumentParser):
        pass
else:
    _Mixed = Answers


class GivenOptions(_Mixed):
    """Mixin that lets a jsonargparse parser merge files and list the options of chosen classes.

    Attributes:
        config: merged content of all ``--config`` files.
        files: all files that were read, including the base files that a file builds on.
        recipes: folders in which ``--config NAME`` searches for a recipe.
    """

    config: Mapping[str, Any] = {}
    files: tuple[str, ...] = ()
    recipes: tuple[str, ...] = PRETRAINING

    def read_files(self, given: list[str]) -> dict[str, Any]:
        """Merge the files given as ``--config`` into one mapping.

        Values of text options become text, also if YAML reads them as numbers. The types of the
        options of tasks are not known yet. Their values become text with a mark, which is parsed
        later (`semisupcon.written.marked`).

        Args:
            given: paths of files or names of recipes. Later files override earlier ones.
        """

        def accepts(class_path: str, option: str, value: Any) -> bool:
            return self.accepts(class_path, option, resolved(value))

        content: dict[str, Any] = {}
        for name in given:
            already, self.files = self.files, ()
            content = lay_over(
                content, layered([find_config(name, self.recipes)], accepts, self._read), accepts
            )
            self.files = (*already, *reversed(self.files))
        self.config = resolved(content)  # `_types` finds the chosen classes in it.
        return quoted_config(content, self._types().get)

    def _read(self, path: str | Path) -> dict[str, Any]:
        """Read a configuration file.

        If an option takes a class and its value is the path of a YAML file, the content of that
        file replaces the path. Such paths are relative to the folder of the configuration file.
        """
        content = lone_nulls(read_yaml(path, scalars=True))
        self.files = (*self.files, str(path))
        for action in self._actions:
            *sections, name = action.dest.split(".")
            part: Any = content
            for section in sections:
                part = part.get(section) if isinstance(part, Mapping) else None
            value = part.get(name) if isinstance(part, dict) else None
            if (
                isinstance(value, str)
                and value.endswith((".yaml", ".yml"))
                and get_class_types(getattr(action, "_typehint", None))
            ):
                part[name] = lone_nulls(read_yaml(Path(path).parent / value, scalars=True))
        return content

    def options(self) -> list[str]:
        """Return the names of all options, including the options of the chosen classes."""
        return list(dict.fromkeys(name for name, _ in self._walk(self, "")))

    def accepts(self, class_path: str, option: str, value: Any) -> bool:
        """Return whether a class has an option that accepts a value.

        Returns True if the class is unknown.
        """
        if (cls := self._class(class_path)) is None:
            return True
        inner = self._class_parser(cls)
        action = next((action for action in inner._actions if action.dest == option), None)
        if action is None:
            return any(action.dest.startswith(f"{option}.") for action in inner._actions)
        try:
            with parser_context(lenient_check=False, load_value_mode=inner.parser_mode):
                inner._check_value_key(action, value, option, Namespace())
        except Exception:  # jsonargparse raises exceptions of several types.
            return False
        return True

    def _walk_options(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the action of all options, including options of chosen classes."""
        return self._walk(self, "")

    def _walk(self, parser: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for action in parser._actions:
            yield from (
                (prefix + name, action)
                for name in long_options(action)
                if name != "help" or not prefix
            )
            if isinstance(action, ActionTypeHint) and (
                chosen := self._chosen_class(prefix + action.dest, action)
            ):
                inner = self._class_parser(chosen, getattr(action, "sub_add_kwargs", None))
                yield from self._walk(inner, f"{prefix}{action.dest}.")

    def _action(self, option: str) -> Any:
        return next((action for name, action in self._walk(self, "") if name == option), None)

    def _types(self) -> dict[str, Any]:
        """Return the type hint of each option that has one, by name."""
        return {
            name: action._typehint
            for name, action in self._walk(self, "")
            if hasattr(action, "_typehint")
        }

    def _chosen_class(self, name: str, action: Any) -> type | None:
        """Return the class that is chosen for an option.

        The command line has precedence over the files, and the files over the default.
        """
        types = get_class_types(action._typehint)
        if not types:
            return None
        default = (
            action.default.as_dict() if isinstance(action.default, Namespace) else action.default
        )
        found = (
            default
            if (configured := self._configured(name)) is None
            else lay_over(default, configured)
        )
        for word, following in zip(self.words, [*self.words[1:], ""], strict=True):
            if plain_name(word) == name:
                found = word.partition("=")[2] or following
        if isinstance(found, list):
            found = found[-1] if found else None
        found = found.get("class_path") if isinstance(found, Mapping) else found
        return self._class(found, types) if isinstance(found, str) and found else None

    def _configured(self, name: str) -> Any:
        value: Any = self.config
        for part in name.split("."):
            value = value[-1] if isinstance(value, list) and value else value
            value = (
                value.get(part, (value.get("init_args") or {}).get(part))
                if isinstance(value, Mapping)
                else None
            )
        return value

    def _class(self, name: str, types: tuple[type, ...] = ()) -> type | None:
        """Find a class by its import path or its name.

        A name without a module must be that of a public class, or of a subclass of ``types``
        (default: of the types of all options). Returns None if there is no such class.
        """
        module, _, last = name.rpartition(".")
        if not module and name in CLASSES:
            return public_class(name)
        try:
            if module:
                found = getattr(importlib.import_module(module), last, None)
                return found if isinstance(found, type) else None
        except Exception:  # The parser reports the error of the import.
            return None
        roots = types or (
            nn.Module,
            *(
                t
                for a in self._actions
                if isinstance(a, ActionTypeHint)
                for t in get_class_types(a._typehint)
            ),
        )
        paths = [
            path
            for root in roots
            for path in get_all_subclass_paths(root)
            if path.endswith(f".{name}")
        ]
        return self._class(paths[0]) if paths else None

    def _class_parser(self, cls: type, kwargs: Mapping[str, Any] | None = None) -> Any:
        with parser_context(parent_parser=self):
            return ActionTypeHint.get_class_parser(cls, dict(kwargs or {}))

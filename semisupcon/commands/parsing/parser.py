"""The argument parser of all commands.

A mistake of the user prints ``error: ...`` to stderr (at most three lines) and exits with status 2.

`Answers` builds the error messages. `Parser` uses them with argparse, and
`semisupcon.commands.parsing.typed` uses them with jsonargparse.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from semisupcon.errors import UserError, closest, nearest
from semisupcon.written import at_home

# For the type checker, `Answers` has the methods of an argument parser: only argument parsers
# inherit from it.
if TYPE_CHECKING:
    _Mixed = argparse.ArgumentParser
else:
    _Mixed = object

LINES, LETTERS = 3, 600
SIMILAR = 0.6
# Options that take a file or folder, by the last part of their names.
PATHS = (
    "out",
    "data_dir",
    "data_root",
    "cache_dir",
    "ckpt_path",
    "packed",
    "checkpoint",
    "checkpoints",
    "head",
    "resume_from_checkpoint",
)
TYPES = {"int": "a whole number", "float": "a number"}
_RAISING: ContextVar[bool] = ContextVar("raising", default=False)


@contextmanager
def raising() -> Iterator[None]:
    """Context manager in which parsers raise a `UserError` instead of exiting."""
    before = _RAISING.set(True)
    try:
        yield
    finally:
        _RAISING.reset(before)


def nearest_option(name: str, options: list[str]) -> str | None:
    """Return the full name of the option most similar to ``name``; None if no option is similar.

    Names have no dashes. A misspelt name with an existing section is compared with the options of
    this section only: ``data.bach_size`` with those of ``data``. A name without a section is
    compared with all options: ``batch_size`` gives ``data.batch_size``.
    """
    parts = name.split(".")
    for cut in range(len(parts) - 1, -1, -1):
        prefix = "".join(f"{part}." for part in parts[:cut])
        inside = [o for o in options if o.startswith(prefix) and o.count(".") >= name.count(".")]
        if inside:
            break
    rest = parts[cut:]

    def end(option: str) -> list[str]:
        return option.split(".")[-len(rest) :]

    alike = [
        o
        for o in inside
        if all(closest(p, [e], SIMILAR) for p, e in zip(rest, end(o), strict=True))
    ]
    for found in ([o for o in alike if end(o) == rest], alike):
        for depth in sorted({o.count(".") for o in found}):
            ends: dict[str, str] = {}
            for option in found:
                if option.count(".") == depth:
                    ends.setdefault(".".join(end(option)), option)
            likest = closest(".".join(rest), ends, 0.0)
            assert likest is not None  # with a cutoff of 0.0, there is always a match
            return ends[likest]
    return None


def short(text: str) -> str:
    """Cut a message to three lines and 600 characters."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    text = "\n".join([line for line in lines if line][:LINES])
    return text if len(text) <= LETTERS else f"{text[:LETTERS]} ..."


def listing(names: list[str]) -> str:
    """Join names as ``a, b or c``."""
    return " or ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])


class Answers(_Mixed):
    """Mixin that builds the error messages of an argument parser.

    Attributes:
        old_names: name of an option in an earlier version or in published code -> name in use.
        refused: option that users may expect but does not exist -> reason.
        words: the command line.
    """

    old_names: ClassVar[Mapping[str, str]] = {}
    refused: ClassVar[Mapping[str, str]] = {}
    words: list[str] = []

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error message and exit with status 2; within `raising`, raise it instead.

        Raises:
            UserError: within `raising`.
        """
        text = short(self.answer(str(message)))
        if _RAISING.get():
            raise UserError(text) from ex
        sys.stderr.write(f"error: {text}\n")
        raise SystemExit(2)

    def refuse_empty(self) -> None:
        """Report an error if the path of an option is empty.

        An unset shell variable gives an empty path, which would mean the current folder.
        """
        for word, following in zip(self.words, [*self.words[1:], "--"], strict=False):
            name, equals, value = word.partition("=")
            is_path = name.startswith("--") and (
                plain_name(name).rpartition(".")[2] in PATHS
                or plain_name(name).startswith("data_dirs.")
            )
            if is_path and not (value if equals else following).strip():
                self.error(f"{name} is empty. Give a path; write . for the current folder")

    def answer(self, message: str) -> str:
        """Rephrase an argparse message and suggest the most similar option or value."""
        text = " ".join(message.split())
        if found := re.match("unrecognized arguments: (.*)", text):
            given = found[1].split(" ")
            wrong = next((word for word in given if word.startswith("-")), None)
            return (
                self.unknown(wrong)
                if wrong
                else f"Unexpected argument '{given[0]}'. {self.see_help()}"
            )
        if found := re.match("the following arguments are required: (.*)", text):
            wrong = next(self.unknown_words(), None)
            return (
                self.unknown(wrong)
                if wrong
                else f"Missing: {self.dashed(found[1])}. {self.see_help()}"
            )
        if found := re.match(r"argument (\S+): expected (one|at least one|\d+) argument", text):
            return f"{self.without_value(found[1].split('/'))} needs a value."
        if found := re.match(r"argument (.+?): invalid choice: (.+?) \(choose from (.*)\)", text):
            choices = [choice.strip("'\"") for choice in found[3].split(", ")]
            value = found[2].strip("'\"")
            return f"{self.long_name(found[1])} takes {listing(choices)}, got '{value}'.{nearest(value, choices)}"
        if found := re.match(r"argument (.+?): invalid (\w+) value: (.*)", text):
            return (
                f"{self.long_name(found[1])} takes {TYPES.get(found[2], found[2])}, got {found[3]}."
            )
        return message

    def unknown(self, word: str) -> str:
        """Return the error message for an unknown option."""
        name, written = plain_name(word), word.partition("=")[0]
        if name in self.refused:
            return f"There is no option --{name}: {self.refused[name]}"
        if name in self.old_names:
            return f"--{name} is now --{self.old_names[name]}."
        meant = nearest_option(name, self.options())
        return f"There is no option {written}. " + (
            f"Did you mean --{meant}?" if meant else self.see_help()
        )

    def options(self) -> list[str]:
        """Return the names of all long options, without dashes, also those of the subcommand."""
        return [
            name
            for parser in self._chosen()
            for action in parser._actions
            for name in long_options(action)
        ]

    def unknown_words(self) -> Iterator[str]:
        """Yield the words of the command line that begin with two dashes but are not options.

        Abbreviations of options are not yielded.
        """
        known = [f"--{name}" for name in self.options()]
        for word in self.words:
            name = word.partition("=")[0]
            if (
                name.startswith("--")
                and name != "--"
                and not any(option.startswith(name) for option in known)
            ):
                yield word

    def without_value(self, names: list[str]) -> str:
        """Return the option that has no value, as it is written on the command line."""
        for word, following in zip(self.words, [*self.words[1:], "--"], strict=False):
            if following.startswith("--") and any(
                word == name or word.startswith(f"{name}.") for name in names
            ):
                return word
        return self.long_name("/".join(names))

    def long_name(self, names: str) -> str:
        """Return the long name of an option: ``--checkpoint`` for ``-c/--checkpoint``.

        The name of a positional argument is returned unchanged.
        """
        return next((name for name in names.split("/") if name.startswith("--")), names)

    def dashed(self, names: str) -> str:
        """Return the full names of arguments, separated by commas.

        Options get their sections and dashes: ``batch_size, file`` gives
        ``--data.batch_size, file``.
        """
        options = self.options()

        def full(name: str) -> str | None:
            return next(
                (option for option in options if option == name or option.endswith(f".{name}")),
                None,
            )

        return ", ".join(f"--{full(name)}" if full(name) else name for name in names.split(", "))

    def see_help(self) -> str:
        """Return a sentence that refers to the help of the command."""
        return f"See: {self.prog} --help"

    def _chosen(self) -> Iterator[Any]:
        yield self
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from (action.choices[word] for word in self.words if word in action.choices)


class Parser(Answers, argparse.ArgumentParser):
    """argparse's parser with the error messages of `Answers`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        self.words = list(sys.argv[1:] if args is None else args)
        self.refuse_empty()
        parsed, rest = super().parse_known_args(args, namespace)
        for name, value in vars(parsed).items():
            setattr(parsed, name, at_home(value))
        return parsed, rest


def plain_name(word: str) -> str:
    """Return the name of the option in a word of the command line.

    ``--trainer.callbacks+=X`` gives ``trainer.callbacks``, and ``--data.init_args.views`` gives
    ``data.views``.
    """
    return (
        word.partition("=")[0]
        .lstrip("-")
        .rstrip("+")
        .replace(".init_args.", ".")
        .removesuffix(".class_path")
    )


def long_options(action: argparse.Action) -> Iterator[str]:
    """Yield the long names of an option, without dashes.

    The names ``x.help``, ``x+`` and ``print_shtab``, which jsonargparse adds, are left out.
    """
    for name in action.option_strings:
        if name.startswith("--") and not name.endswith((".help", "+", "print_shtab")):
            yield name[2:]

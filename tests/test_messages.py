"""Commands and options that messages of the package name exist."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from semisupcon.__main__ import COMMANDS, main
from semisupcon.commands.parsing import probe_options

PACKAGE = Path(__file__).resolve().parents[1] / "semisupcon"
# Options of other programs (srun, git, pip), variables of CSS, and options of classes.
OTHERS = {
    *("ntasks", "ntasks-per-node", "nodes", "porcelain", "no-deps"),
    *("ink", "soft", "paper", "line", "good", "bad"),
    *("model.criterion.target.threshold", "model.optimizer.lr", "data.class_path", "data.stream"),
    "model.scheduler.warmup_steps",
    "help_all",
}
# Options of data sets, which `data check` takes too.
OF_DATA_SETS = {"subset", "fold", "folds", "label"}


def texts() -> Iterator[tuple[str, str]]:
    """Place and text of every string of the package that is no docstring; a value is ``VALUE``."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        apart: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                apart |= {id(part) for part in node.values}
            elif isinstance(node, ast.Expr):
                apart.add(id(node.value))
        for node in ast.walk(tree):
            place = f"{file.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "VALUE" for v in node.values)
                yield place, "".join(map(str, parts))
            elif isinstance(value := getattr(node, "value", None), str) and id(node) not in apart:
                yield place, value


TEXTS = list(texts())
# `semisupcon data check` and the like; the second word counts for commands that have parts.
NAMED = sorted(
    {
        (found[1], found[2] or "") if found[1] == "data" else (found[1], "")
        for _, text in TEXTS
        for found in re.finditer(r"semisupcon ([a-z]+)(?: ([a-z]+))?", text)
        if found[1] in COMMANDS
    }
)


def test_names_that_look_like_commands_are_commands():
    """In code spans, and behind ``python -m``."""
    wrong = [
        f"{place}: {name}"
        for place, text in TEXTS
        for name in re.findall(r"(?:`|-m )semisupcon ([a-z]+)", text)
        if name not in COMMANDS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
def test_a_command_in_a_message_exists(words, capsys):
    status = None
    try:
        status = main([*filter(None, words), "--help"])
    except SystemExit as error:
        status = error.code
    assert not status, capsys.readouterr().err


def known_options() -> set[str]:
    """Names of the options of all commands, without dashes."""
    table = json.loads((PACKAGE / "commands" / "parsing" / "pretrain_options.json").read_text())
    names: set[str] = set()

    def collect(value):
        if isinstance(value, dict):
            names.update(value)
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                collect(one)
        elif isinstance(value, str):
            names.add(value)

    collect(table)
    names |= {o for action in probe_options.parser()._actions for o in action.option_strings}
    for file in (PACKAGE / "commands").rglob("*.py"):
        names |= set(re.findall(r'add_argument\(\s*"--([\w.]+)"', file.read_text()))
    return {name.lstrip("-") for name in names}


def test_every_option_in_a_message_exists():
    known, wrong = known_options() | OTHERS | OF_DATA_SETS, []
    for place, text in TEXTS:
        for name in re.findall(r"(?<![\w-])--([a-z][\w.-]*\w)", text):
            parts = name.split(".")
            general = (
                any(part.isupper() for part in parts) or "VALUE" in name or parts[-1] == "help"
            )
            section = any(one.startswith(f"{name}.") for one in known)
            if not (name in known or general or section):
                wrong.append(f"{place}: --{name}")
    assert len(known) > 150
    assert not wrong, "\n".join(wrong)

"""Write ``pretrain_options.json``, the table of the options of `pretrain`.

`semisupcon.commands.quick` reads the table to print the help without importing torch. Command:
``python -m semisupcon.commands.parsing.option_table``.
"""

import json
import re
import sys
from typing import Any

from semisupcon.commands.pretrain import configured
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.commands.quick import TABLE, TITLES
from semisupcon.files import write_text

# Prefixes of options that depend on the chosen optimizer or scheduler.
NOT_FIXED = ("model.optimizer.", "model.scheduler.")
ORDER = tuple(TITLES)


class _Parsed(Exception):
    """Exception that passes the parser from the command to `live_parser`."""


class _ParserOnly(PretrainCLI):
    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise _Parsed(parser)


def live_parser() -> Any:
    """Build the full parser of `pretrain` without parsing any argument."""
    try:
        configured([], _ParserOnly)
    except _Parsed as found:
        parser = found.args[0]
    parser.words = [""]
    return parser


def rows() -> list[dict[str, Any]]:
    """Return one row per option that does not depend on the configuration.

    A row has the name, section, type, default and help of the option.
    """
    found = []
    for name, action in live_parser()._walk_options():
        section = name.rpartition(".")[0]
        if (
            name in ("help", "print_config", "model", "data", "trainer", "probe")
            or name.startswith(NOT_FIXED)
            or section not in ORDER
        ):
            continue
        found.append(
            {
                "name": name,
                "section": section,
                "type": _type(action),
                "default": _default(action),
                "help": _help(action),
            }
        )
    return sorted(found, key=lambda row: ORDER.index(row["section"]))


def _type(action: Any) -> str:
    if action.metavar:
        return str(action.metavar)
    hint = str(getattr(action, "_typehint", None) or getattr(action, "type", None) or "")
    hint = re.sub(r"<class '([\w.]+)'>", r"\1", hint).replace("typing.", "")
    words = [word.rpartition(".")[2] for word in re.findall(r"[\w.]+", hint)]
    words = [
        word
        for word in dict.fromkeys(words)
        if word
        not in ("Optional", "Union", "NoneType", "None", "Literal", "Any", "Callable", "Iterable")
    ]
    return "|".join(words[:4])


def _default(action: Any) -> Any:
    value = action.default
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, dict):
        value = str(value.get("class_path", value)).rpartition(".")[2]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _help(action: Any) -> str:
    """Return the help of an option as one paragraph without markup.

    The default in Lightning's help texts is removed, because the table has a field for it.
    """
    text = re.sub(r"Default: ``.*", "", " ".join((action.help or "").split()))
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "").replace("`", "")
    return text.strip()


def main() -> int:
    """Write the option table and return the exit status."""
    write_text(TABLE, json.dumps(rows(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

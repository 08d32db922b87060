"""Print the help and report misspelt options of `pretrain` before torch and Lightning are imported.

The options are read from ``pretrain_options.json``. ``python -m
semisupcon.commands.parsing.option_table`` writes this table, and a test compares it with the full
parser. Options of a chosen class and of other data modules are not in the table; the full parser
handles them.
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from semisupcon.commands.parsing.parser import nearest_option, plain_name
from semisupcon.errors import ConfigError
from semisupcon.recipes import find_config

TABLE = Path(__file__).parent / "parsing" / "pretrain_options.json"
HELP, HELP_ALL = ("-h", "--help"), "--help_all"
# Sections whose options do not depend on the configuration.
FIXED = ("", "trainer", "data", "probe")
TITLES = {
    "": "The run",
    "probe": "Probes of the encoder while it trains",
    "data": "Data (other data modules: --data.help CLASS)",
    "model": "Model (options of a class: --model.encoder.help CLASS, --model.criterion.help CLASS)",
    "trainer": "Lightning's Trainer",
}


def quick(args: list[str]) -> int | None:
    """Print the help or report a misspelt option, if the arguments of `pretrain` have either.

    Returns the exit status, or None if the full parser must handle the arguments.
    """
    if any(word in HELP or word == HELP_ALL for word in args):
        print(help_text(read_table(), everything=HELP_ALL in args))
        return 0
    table = {row["name"]: row for row in read_table()}
    for word in args:
        if word.startswith("--") and (meant := misspelt(word, table, args)):
            print(
                f"error: There is no option {word.partition('=')[0]}. Did you mean --{meant}?",
                file=sys.stderr,
            )
            return 2
    return None


def read_table() -> list[dict[str, Any]]:
    """Read the table of options, in the order of the help."""
    return json.loads(TABLE.read_text())


def misspelt(word: str, table: dict[str, Any], args: list[str]) -> str | None:
    """Return the option that was probably meant by a misspelt word.

    Returns None if the option exists, or if only the full parser can decide.
    """
    name = plain_name(word)
    section = name.rpartition(".")[0]
    if (
        name in table
        or section not in FIXED
        or name.endswith(".help")
        or name in ("print_config", *FIXED, "model", *READ_ELSEWHERE)
    ):
        return None
    if section == "data" and _other_data(args):
        return None
    # The options of a class, such as a Lightning strategy, are missing in the table.
    meant = nearest_option(name, list(table))
    return meant if meant and meant.rpartition(".")[0] in FIXED else None


# Names for which the full parser has special messages: options of the published SemiSupCon code,
# and options that are refused.
READ_ELSEWHERE = frozenset(
    """
    resume_from_ckpt aug_severity target_sr target_len n_augmentations data.aug_severity data.target_sr data.target_len
    data.n_augmentations data.use_test_set use_test_set
    """.split()  # noqa: SIM905
)


def _other_data(args: list[str]) -> bool:
    """Return whether the arguments or their configuration files may select another data module."""
    texts = []
    for word, following in zip(args, [*args[1:], ""], strict=True):
        if plain_name(word) == "data":
            return True
        if plain_name(word) in ("config", "c"):
            texts += _texts(word.partition("=")[2] or following)
    return any(
        name.rpartition(".")[2] != "AudioDataModule"
        for text in texts
        for name in re.findall(r"class_path: *['\"]?([\w.]*DataModule)", text)
    )


def _texts(given: str) -> list[str]:
    """Return the texts of a configuration file and of all its base files.

    The list is empty if the file does not exist.
    """
    try:
        paths, texts = [find_config(given)], []
    except ConfigError:
        return []  # The full parser reports the missing file.
    for path in paths:
        if path.is_file():
            texts.append(path.read_text(errors="replace"))
            names = re.findall(
                r"[^\s\[\],'\"]+\.ya?ml",
                "".join(re.findall(r"^builds_on:(.*(?:\n[ -].*)*)", texts[-1], re.M)),
            )
            paths += [below for name in names if (below := path.parent / name) not in paths]
    return texts


def help_text(table: list[dict[str, Any]], everything: bool = False) -> str:
    """Return the help text with the options of the run, the data and the model.

    ``everything`` adds the options of Lightning's Trainer.
    """
    parts = ["usage: semisupcon pretrain --config FILE [--config FILE ...] [--OPTION VALUE ...]"]
    for section, title in TITLES.items():
        rows = [row for row in table if row["section"] == section]
        if section == "trainer" and not everything:
            parts.append(
                f"{title} has {len(rows)} options (--trainer.max_steps, --trainer.devices, "
                "--trainer.precision, ...): --help_all"
            )
            continue
        parts.append("\n".join([f"{title}:", *(_entry(row) for row in rows)]))
    return "\n\n".join(parts)


def _entry(row: dict[str, Any]) -> str:
    default = "" if row["default"] is None else f" (default: {row['default']})"
    text = textwrap.fill(
        f"{row['help']}{default}", 118, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
    return f"  --{row['name']} {row['type']}".rstrip() + (f"\n{text}" if text else "")

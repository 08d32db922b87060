"""Options of the model card that ``semisupcon export`` writes beside the weights."""

import re
from argparse import Namespace
from pathlib import Path

from semisupcon.commands.parsing.parser import Parser
from semisupcon.errors import ConfigError

STATED = ("title", "licence", "data", "data_licence", "use", "limits")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def add_card(p: Parser) -> None:
    """Add the options of the model card to a parser."""
    group = p.add_argument_group("model card (README.md, with --format safetensors)")
    group.add_argument("--title", help="name of the model; default: name of the run")
    group.add_argument("--licence", help="licence of the weights, such as cc-by-4.0")
    group.add_argument("--data", help="one sentence about the training audio")
    group.add_argument("--data_licence", help="licence of the training audio")
    group.add_argument("--use", help="intended use, as sentences")
    group.add_argument("--limits", help="limits and risks, as sentences")
    group.add_argument(
        "--results", type=Path, help="folder of semisupcon probe, whose results the card lists"
    )
    group.add_argument(
        "--results_name", help="name of the encoder in the results; default: name of the run"
    )
    group.add_argument("--no_card", action="store_true", help="write no README.md")


def check_card(given: Namespace) -> dict[str, str]:
    """Check the options of `add_card`, and return what the user states, by option.

    Raises:
        ConfigError: for card options without a card, or an invalid licence.
    """
    stated = {name: getattr(given, name) for name in STATED if getattr(given, name) is not None}
    named = [*stated, *(["results"] if given.results is not None else [])]
    if named and given.no_card:
        raise ConfigError(f"--{named[0]} is for the model card, which --no_card leaves out.")
    if (named or given.no_card) and given.format != "safetensors":
        name = named[0] if named else "no_card"
        raise ConfigError(f"--{name} is for the model card, which needs --format safetensors.")
    if given.licence is not None and not _LICENCE.fullmatch(given.licence):
        raise ConfigError(
            f"--licence takes an identifier such as cc-by-4.0, mit or other, got '{given.licence}'."
        )
    if given.results_name is not None and given.results is None:
        raise ConfigError("--results_name needs --results.")
    for name, text in stated.items():
        if not text.strip():
            raise ConfigError(f"--{name} is empty.")
    return stated

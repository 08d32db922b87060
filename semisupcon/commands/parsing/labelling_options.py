"""Common options of ``semisupcon predict`` and ``semisupcon tag``, and their checks."""

import importlib.util
import math
from argparse import Namespace
from pathlib import Path

from semisupcon.commands.parsing.encoder_options import (
    add_checkpoint,
    add_computing,
    add_trust,
    check_computing,
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.errors import ConfigError
from semisupcon.labelling.formats import FORMATS, format_of


def add_encoder(p: Parser) -> None:
    """Add the options of encoder, output, device and threads to a parser."""
    add_checkpoint(p, " or fine-tuned")
    p.add_argument(
        "--out",
        required=True,
        type=Path,
        help="output file: .csv, .parquet, .selections.txt (Raven) or .txt (Audacity labels); "
        "repeat the command to continue after an interruption",
    )
    p.add_argument("--format", choices=FORMATS, help="format of the output; default: by its name")
    p.add_argument(
        "--all", action="store_true", help="write every label with its probability, not the best"
    )
    p.add_argument(
        "--threshold",
        type=float,
        help="probability from which a label is written, for all classes (multilabel, binary); "
        "default: the thresholds of the head",
    )
    add_computing(p)
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")
    add_trust(p)


def check_common(given: Namespace) -> str:
    """Check the options that `add_encoder` adds, and return the format of the output.

    Raises:
        ConfigError: for an unknown format, a missing package, or a number out of range.
    """
    kind = format_of(given.out, given.format)
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "Writing .parquet needs pyarrow: pip install pyarrow, or give an --out that ends in "
            ".csv."
        )
    check_computing(given)
    if given.threshold is not None and not 0 <= given.threshold <= 1:
        raise ConfigError(f"--threshold must lie between 0 and 1, got {given.threshold:g}.")
    if given.threshold is not None and given.all:
        raise ConfigError("--all writes every label, so it has no --threshold; leave one out.")
    return kind


def check_threshold(given: Namespace, kind: str) -> None:
    """Check that ``--threshold`` is given only for binary and multilabel heads.

    Raises:
        ConfigError: for another label kind.
    """
    if given.threshold is not None and kind not in ("binary", "multilabel"):
        what = "values" if kind == "regression" else "one label per file"
        raise ConfigError(f"--threshold is for labels that can occur together; these are {what}.")


def check_windows(given: Namespace) -> None:
    """Check ``--per``, ``--window`` and ``--hop``.

    Raises:
        ConfigError: if ``--window`` or ``--hop`` is not positive, or given without
            ``--per window``.
    """
    for name in ("window", "hop"):
        value = getattr(given, name)
        if value is None:
            continue
        if given.per != "window":
            raise ConfigError(f"--{name} needs --per window.")
        if not (0 < value < math.inf):
            raise ConfigError(f"--{name} must be a positive number of seconds, got {value:g}.")

"""Common options of ``semisupcon predict`` and ``semisupcon tag``, and their checks."""

import importlib.util
import math
from argparse import Namespace
from pathlib import Path

from semisupcon.commands.parsing.parser import Parser
from semisupcon.errors import ConfigError
from semisupcon.labelling.formats import FORMATS, format_of


def add_encoder(p: Parser) -> None:
    """Add the options of encoder, output, device and threads to a parser."""
    p.add_argument(
        "--checkpoint",
        required=True,
        help="checkpoint, run folder, exported or fine-tuned folder, or a baseline such as mfcc "
        "(docs/baselines.md)",
    )
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
    p.add_argument(
        "--batch_size",
        type=int,
        help="segments per forward pass; default: 32 on a GPU, 400,000 samples in total on a CPU",
    )
    p.add_argument(
        "--workers",
        type=int,
        help="threads that decode audio; default: 2 on a CPU, else one per core, at most 16",
    )
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")
    p.add_argument(
        "--trust",
        nargs="*",
        default=[],
        help="modules outside semisupcon whose classes the checkpoint may name",
    )


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
    for name in ("batch_size", "workers"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise ConfigError(f"--{name} must be at least 1, got {getattr(given, name)}.")
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

"""Options of the commands that embed audio with a frozen encoder, and their checks."""

from argparse import Namespace

from semisupcon.commands.parsing.parser import Parser
from semisupcon.embedding import PRECISIONS
from semisupcon.errors import ConfigError


def add_checkpoint(p: Parser, more: str = "") -> None:
    """Add ``--checkpoint``; ``more`` names further kinds of folders, such as " or fine-tuned"."""
    p.add_argument(
        "--checkpoint",
        required=True,
        help=f"checkpoint, run folder, exported{more} folder, or a baseline such as mfcc "
        "(docs/baselines.md)",
    )


def add_computing(p: Parser) -> None:
    """Add ``--batch_size``, ``--workers`` and ``--device``."""
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


def add_precision(p: Parser) -> None:
    """Add ``--precision``."""
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the encoder's arithmetic; embeddings are float32",
    )


def add_trust(p: Parser) -> None:
    """Add ``--trust``."""
    p.add_argument(
        "--trust",
        nargs="*",
        default=[],
        help="modules outside semisupcon whose classes the checkpoint may name",
    )


def check_computing(given: Namespace) -> None:
    """Check the numbers of `add_computing`.

    Raises:
        ConfigError: if one is less than 1.
    """
    for name in ("batch_size", "workers"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise ConfigError(f"--{name} must be at least 1, got {getattr(given, name)}.")

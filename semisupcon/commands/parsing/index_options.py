"""Options of ``semisupcon index``."""

from pathlib import Path

from semisupcon.commands.parsing.encoder_options import (
    add_checkpoint,
    add_computing,
    add_precision,
    add_trust,
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.commands.parsing.ranges import ABOVE_ZERO, COUNT, Range

DESCRIPTION = """Embed audio files into an index that `search` and `explore` read. The same command
continues after an interruption. On an existing index it embeds only files that are new or have
changed."""
RANGES = {
    "window": ABOVE_ZERO,
    "hop": ABOVE_ZERO,
    "batch_size": COUNT,
    "workers": Range(1, 1024),
}


def parser() -> Parser:
    """Return the argument parser of ``semisupcon index``."""
    p = Parser(prog="semisupcon index", description=DESCRIPTION)
    p.add_argument("audio", nargs="+", help="audio files, or folders to search for audio")
    add_checkpoint(p)
    p.add_argument(
        "--out",
        required=True,
        type=Path,
        help="folder of the index; an existing one gets new files",
    )
    p.add_argument(
        "--per",
        choices=("file", "window"),
        help="one embedding per file (mean over its segments, the default) or per window",
    )
    p.add_argument("--window", type=float, help="length of a window in seconds; default: a segment")
    p.add_argument("--hop", type=float, help="seconds between windows; default: --window")
    p.add_argument("--task", help="use only this task or format of the encoder; default: all")
    p.add_argument(
        "--approximate",
        choices=("auto", "yes", "no"),
        default="auto",
        help="also write an approximate index (needs faiss-cpu); auto: from a million embeddings on",
    )
    p.add_argument(
        "--prune", action="store_true", help="remove files from the index that no longer exist"
    )
    add_computing(p)
    add_precision(p)
    p.add_argument("--overwrite", action="store_true", help="make an existing index anew")
    add_trust(p)
    return p

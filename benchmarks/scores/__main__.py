"""Build the data set of rendered scores: ``python -m benchmarks.scores build --out DIR``.

Scores of the installed package music21 are played with a General MIDI soundfont. Nothing is
downloaded. A clip is a function of its number, of the seed and of the soundfonts: it has the same
bits for any number of workers and of clips. A build that was interrupted continues with the same
command; a higher --clips adds clips. docs/scores.md describes the set.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from benchmarks.cores import all_cores
from benchmarks.scores import building, rendering
from benchmarks.scores.sources import COLLECTIONS
from semisupcon.errors import UserError

CLIPS = 12000


def main(args: list[str] | None = None) -> int:
    """Build the set and print its counts; return the exit status."""
    given = _parser().parse_args(args)
    try:
        fonts = given.soundfont or [rendering.packaged_font()]
        plan = building.Plan(
            out=given.out.expanduser(),
            clips=given.clips,
            seed=given.seed,
            fonts=tuple(Path(font).expanduser().resolve() for font in fonts),
            collections=tuple(name for name in COLLECTIONS if name in given.collections),
            workers=given.workers or all_cores(),
        )
        building.build(plan)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command continues the build.", file=sys.stderr)
        return 130
    print(summary(plan))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scores", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build or continue the set", description=__doc__)
    build.add_argument("--out", type=Path, required=True, help="folder of the set")
    build.add_argument(
        "--clips", type=positive_number, default=CLIPS, help="%(default)s by default"
    )
    build.add_argument(
        "--seed", type=natural_number, default=0, help="seed of all draws (%(default)s)"
    )
    build.add_argument("--workers", type=positive_number, help="processes; all cores by default")
    build.add_argument(
        "--soundfont",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="General MIDI soundfonts (sf2, sf3), one of them drawn for each clip; by default "
        f"{rendering.FONT} of the package {rendering.FONT_PACKAGE}",
    )
    build.add_argument(
        "--collections",
        nargs="+",
        choices=list(COLLECTIONS),
        default=list(COLLECTIONS),
        metavar="NAME",
        help=f"all by default: {', '.join(COLLECTIONS)}",
    )
    return parser


def positive_number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def natural_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def summary(plan: building.Plan) -> str:
    """Return a table of clips, hours, pieces, keys and genres per split."""
    rows = building.read_table(plan.out)
    lines = ["| split | clips | hours | groups | pieces | with a key | with a genre |"]
    lines.append("|---|---|---|---|---|---|---|")
    for split in ("train", "val", "test"):
        part = [row for row in rows if row["split"] == split]
        hours = len(part) * building.SECONDS / 3600
        known = [sum(bool(row[column]) for row in part) for column in ("key", "genre")]
        different = [len({row[column] for row in part}) for column in ("group", "piece")]
        cells = [split, len(part), f"{hours:.1f}", *different, *known]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    genres = Counter(row["genre"] or "none" for row in rows)
    lines.append("genres: " + ", ".join(f"{name} {n}" for name, n in sorted(genres.items())))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

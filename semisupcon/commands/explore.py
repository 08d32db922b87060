"""``semisupcon explore``: write a map of embeddings as one HTML page.

The page needs no network. It shows each clip as a point, coloured by label, prediction or cluster.
It can play a clip, and lists the clips with the nearest embeddings.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from semisupcon.commands.parsing.parser import Parser
from semisupcon.commands.parsing.ranges import NOT_NEGATIVE, Range, check_numbers
from semisupcon.embedding import pieces_ahead, progress
from semisupcon.errors import UserError
from semisupcon.files import amount_of
from semisupcon.locks import file_lock
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.paths import system_path, text_of
from semisupcon.retrieval.map.clips import LEAST, MOST, Clips, read_clips
from semisupcon.retrieval.map.colours import Colouring, by_cluster, read_colouring
from semisupcon.retrieval.map.neighbours import nearest
from semisupcon.retrieval.map.page import packed, write_page
from semisupcon.retrieval.map.previews import preview
from semisupcon.retrieval.map.projection import METHODS, TITLES, clusters, default_method, project

RANGES = {
    "clusters": Range(2, 1000),
    "neighbours": Range(1, 50),
    "most": Range(LEAST, MOST),
    "previews": Range(0, 60, (True, False)),
    "seed": NOT_NEGATIVE,
}


def parser() -> Parser:
    """Return the argument parser of ``semisupcon explore``."""
    p = Parser(prog="semisupcon explore", description=__doc__.split(": ", 1)[1])
    p.add_argument(
        "embeddings",
        type=Path,
        help="output of semisupcon embed (.parquet, .csv, .npy), or the folder of an index",
    )
    p.add_argument("--out", required=True, type=Path, help="the page, .html")
    p.add_argument(
        "--method",
        choices=METHODS,
        help="projection; default: umap if installed, else tsne up to 5,000 clips, else pca",
    )
    p.add_argument(
        "--labels",
        nargs="+",
        type=Path,
        default=[],
        help="tables (.csv) with the columns file and label, such as the output of predict",
    )
    p.add_argument("--clusters", type=int, help="also colour by this number of k-means clusters")
    p.add_argument("--neighbours", type=int, default=8, help="nearest neighbours of each clip")
    p.add_argument(
        "--previews", type=float, help="put the first seconds of each clip into the page, as MP3"
    )
    p.add_argument(
        "--audio_root",
        type=Path,
        help="folder that relative names of files start at; default: the current folder",
    )
    p.add_argument("--most", type=int, help="of more clips, take this number, evenly spaced")
    p.add_argument("--seed", type=int, default=0, help="of umap, tsne and clusters")
    p.add_argument("--overwrite", action="store_true", help="replace an existing page")
    return p


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon explore`` and return the exit status."""
    given = parser().parse_args(args)
    check_numbers(vars(given), RANGES)
    if given.seed >= 2**32:
        raise UserError(f"--seed must be below 2^32, got {given.seed}.")
    if given.out.suffix not in (".html", ".htm"):
        raise UserError(f"--out must end in .html, got '{given.out.name}'.")
    if given.audio_root is not None and not given.audio_root.is_dir():
        raise UserError(f"--audio_root is not a folder: {given.audio_root}")
    check_writable(given.out)
    with file_lock(given.out, "explore", "give another --out"):
        refuse_existing([given.out], given.overwrite)
        return explore(given)


def explore(given: Namespace) -> int:
    """Write the page for the parsed options, and return the exit status."""
    clips = read_clips(given.embeddings, given.most)
    method, told = (given.method, "") if given.method else default_method(len(clips))
    if told:
        print(told, file=sys.stderr)
    colourings = coloured(given, clips)
    files = [sound_of(name, given.audio_root) for name in clips.files]
    warn_of_missing(files, given.previews is not None)
    print(f"projecting {len(clips)} clips by {TITLES[method]}", file=sys.stderr)
    points = project(clips.vectors, method, given.seed)
    neighbours = nearest(clips.vectors, given.neighbours, clips.spans())
    sounds = heard(files, clips, given.previews) if given.previews is not None else None
    shown = clips, points, neighbours, colourings, TITLES[method], given.audio_root
    write_page(given.out, packed(given.out, *shown), sounds)
    size = amount_of(given.out.stat().st_size)
    print(f"{text_of(given.out)}: {len(clips)} clips by {TITLES[method]}, {size}")
    return 0


def coloured(given: Namespace, clips: Clips) -> list[Colouring]:
    """Return the colourings of the points that the options select."""
    found = []
    for file in given.labels:
        colouring, known = read_colouring(file, clips)
        if known < len(clips):
            print(f"{file}: {known} of {len(clips)} clips have a label", file=sys.stderr)
        found.append(colouring)
    if given.clusters is not None:
        found.append(by_cluster(clusters(clips.vectors, given.clusters, given.seed)))
    return found


def sound_of(name: str, root: Path | None) -> str:
    """Return the path of the audio file of a clip."""
    return name if root is None else os.path.join(root, name)


def warn_of_missing(files: list[str], needed: bool) -> None:
    """Warn about missing audio files.

    Args:
        files: audio files of the clips.
        needed: whether the page needs audio.

    Raises:
        UserError: if audio is needed and all files are missing.
    """
    missing = [file for file in dict.fromkeys(files) if not os.path.isfile(system_path(file))]
    if not missing:
        return
    if needed and len(missing) == len(set(files)):
        raise UserError(
            f"--previews: none of the files is there, such as {missing[0]}.\nGive --audio_root, or "
            "run the command in the folder where the names start."
        )
    print(
        f"{len(missing)} files are not at their place and cannot be played, such as {missing[0]} "
        "(--audio_root)",
        file=sys.stderr,
    )


def heard(files: list[str], clips: Clips, seconds: float) -> Iterator[bytes]:
    """Yield a preview of each clip, in order, and show the progress.

    The preview of an unreadable file is empty.
    """
    starts = clips.starts if clips.starts is not None else [0.0] * len(files)
    items = list(zip(files, starts, strict=True))
    pieces = pieces_ahead(lambda item: [preview(item[0], float(item[1]), seconds)], items)
    unreadable = 0

    def made() -> Iterator[bytes]:
        nonlocal unreadable
        for piece in pieces:
            if piece.error is not None:
                raise piece.error
            if not piece.last:
                unreadable += not piece.rows
                yield piece.rows

    yield from progress(made(), len(files), "previews")
    if unreadable:
        print(f"{unreadable} previews are missing: their files cannot be read", file=sys.stderr)

"""Build the data set: parse the scores, render the clips, and write the table.

The folder of the set:

- ``labels.csv``: the table of all clips; it exists only if the set is complete;
- ``audio/NNNNNN.flac``: the clips;
- ``LICENSES.md``: licences of scores and soundfonts;
- ``left_out.csv``: pieces that are left out, with the reason;
- ``build.json``: seed, collections, soundfonts and versions that the clips depend on;
- ``pieces/`` and ``rows/``: parsed pieces and rows of the table, from which a build continues.

Every file appears when it is complete. A build that was interrupted continues with the same command.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from benchmarks.scores import licences, parsing, rendering, sources
from benchmarks.scores.arranging import SECONDS, Programme, arrange
from benchmarks.scores.pieces import FEWEST_NOTES, Piece, grouped, usable
from benchmarks.scores.processes import Bar, run
from semisupcon.errors import ConfigError
from semisupcon.files import (
    atomic_path,
    make_folders,
    plain_cell,
    sweep,
    write_csv,
    write_text,
)
from semisupcon.locks import LOCK, folder_lock
from semisupcon.versions import versions_of

FORMAT = 1  # of the clips; a change of the draws or of the rendering raises it
PACKAGES = ("music21", "tinysoundfont", "numpy")  # on which the clips depend
BLOCK = 50  # clips that are rendered as one unit of work
__all__ = ["SECONDS", "Plan", "build", "load_pieces", "read_table"]
COLUMNS = (
    *("path", "split", "group", "tags", "key", "density", "genre", "piece", "title"),
    *("collection", "meter", "tempo", "parts", "programs", "soundfont"),
)


class Plan(NamedTuple):
    """What is built.

    Attributes:
        out: folder of the set.
        clips: number of clips.
        seed: seed of all draws.
        fonts: paths of the soundfonts.
        collections: names of the collections.
        workers: number of processes; 1 for this process.
    """

    out: Path
    clips: int
    seed: int
    fonts: tuple[Path, ...]
    collections: tuple[str, ...]
    workers: int = 1


def build(plan: Plan) -> None:
    """Build or continue the data set of a plan.

    Raises:
        ConfigError: if a package or soundfont is missing, if the folder has clips of another plan or
            other files, or if no piece is usable.
        DiskError: if a file cannot be written.
        UserError: if another process builds in this folder.
    """
    rendering.check_synthesizer()
    fonts = rendering.check_fonts(list(plan.fonts))
    corpus = sources.corpus_folder()
    rendering.Player(list(plan.fonts))  # refuses unfit soundfonts before the long work
    if plan.out.exists() and not plan.out.is_dir():
        raise ConfigError(f"--out {plan.out} is not a folder.")
    with folder_lock(plan.out, "build", "give another --out"):
        _check_folder(plan, fonts)
        _build(plan, corpus)


def _build(plan: Plan, corpus: Path) -> None:
    """Build in the locked folder."""
    for folder in (plan.out, *(plan.out / name for name in ("audio", "pieces", "rows"))):
        make_folders(folder)
        sweep(folder)
    units = sources.units(list(plan.collections), corpus)
    todo = [
        (name, name.rsplit("-", 1)[0], files, str(corpus), plan.out)
        for name, files in units.items()
        if not _unit_file(plan.out, name).exists()
    ]
    run(_parse_unit, todo, plan.workers, Bar("parse scores", len(units), "unit"))
    pieces = load_pieces(plan.out, units)
    if not pieces:
        raise ConfigError(f"No piece of the collections {', '.join(plan.collections)} is usable.")
    blocks = range(0, plan.clips, BLOCK)
    missing = [start for start in blocks if not _is_complete(plan, start)]
    if missing:
        (plan.out / "labels.csv").unlink(missing_ok=True)
    bar = Bar(f"render {BLOCK} clips each", len(blocks), "block")
    todo = [(plan, start) for start in missing]
    run(_render_block, todo, plan.workers, bar, _begin, (plan, list(units)))
    _shared.clear()
    _write_tables(plan, pieces, units, corpus)


def load_pieces(out: Path, units: Iterable[str]) -> list[Piece]:
    """Read the parsed pieces of some units, with groups and splits."""
    rows = [row for unit in units for row in _read_unit(out, unit)["pieces"]]
    return grouped(rows)


def read_table(out: Path) -> list[dict[str, str]]:
    """Return the rows of ``labels.csv`` of a complete set."""
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _check_folder(plan: Plan, fonts: dict[str, str]) -> None:
    """Compare the plan with ``build.json``; write the file if the folder is new or empty."""
    settings = {
        "format": FORMAT,
        "seed": plan.seed,
        "collections": list(plan.collections),
        "soundfonts": fonts,
        "versions": dict.fromkeys(PACKAGES, "none") | versions_of(PACKAGES),
    }
    file = plan.out / "build.json"
    if not file.exists():
        if any(path.name != LOCK for path in plan.out.iterdir()):
            raise ConfigError(f"--out {plan.out} is not an empty folder, and no build is in it.")
        write_text(file, json.dumps(settings, indent=1) + "\n")
        return
    try:
        found = json.loads(file.read_text())
        other = [name for name, value in settings.items() if found.get(name) != value]
    except (ValueError, AttributeError):
        raise ConfigError(
            f"{file} is damaged. Give an empty --out, or remove the folder."
        ) from None
    if other:
        name = other[0]
        raise ConfigError(
            f"--out {plan.out} has clips of another build: {name} was "
            f"{json.dumps(found.get(name))}, now {json.dumps(settings[name])}.\n"
            "Give another --out."
        )
    clips = [path.name for path in (plan.out / "audio").glob("[0-9]*.flac")]
    if max(clips, default="") > Path(_audio(plan.clips - 1)).name:
        raise ConfigError(
            f"--out {plan.out} has more than the {plan.clips} clips of --clips.\n"
            "Give another --out; a set can only grow."
        )


def _unit_file(out: Path, unit: str) -> Path:
    return out / "pieces" / f"{unit}.json"


def _read_unit(out: Path, unit: str) -> dict[str, Any]:
    try:
        return json.loads(_unit_file(out, unit).read_text())
    except ValueError:
        raise ConfigError(
            f"{_unit_file(out, unit)} is damaged. Remove it; the same command makes it again."
        ) from None


def _parse_unit(unit: str, collection: str, files: list[str], corpus: str, out: Path) -> None:
    """Parse the files of a unit and write its pieces."""
    pieces, failed = parsing.parse_files(collection, files, Path(corpus))
    write_text(_unit_file(out, unit), json.dumps({"pieces": pieces, "failed": failed}))


def _audio(number: int) -> str:
    return f"audio/{number:06d}.flac"


def _rows_file(out: Path, start: int) -> Path:
    return out / "rows" / f"{start:06d}.csv"


def _read_rows(out: Path, start: int) -> list[list[str]]:
    with _rows_file(out, start).open(newline="") as file:
        return [list(map(plain_cell, row)) for row in csv.reader(file)][1:]


def _is_complete(plan: Plan, start: int) -> bool:
    """Return whether all clips of a block exist."""
    numbers = range(start, min(start + BLOCK, plan.clips))
    return (
        _rows_file(plan.out, start).exists()
        and len(_read_rows(plan.out, start)) == len(numbers)
        and all((plan.out / _audio(number)).exists() for number in numbers)
    )


# What the blocks of one process share: the programme and the synthesizers.
_shared: dict[str, Any] = {}


def _begin(plan: Plan, units: list[str]) -> None:
    """Load pieces and soundfonts in a process that renders."""
    _shared["programme"] = Programme(load_pieces(plan.out, units), plan.seed)
    _shared["player"] = rendering.Player(list(plan.fonts))


def _render_block(plan: Plan, start: int) -> None:
    """Render the clips of a block, then write their rows."""
    rows = []
    for number in range(start, min(start + BLOCK, plan.clips)):
        arrangement = arrange(_shared["programme"].piece(number), plan.seed, number)
        audio, font = _shared["player"].render(arrangement, plan.seed, number)
        with atomic_path(plan.out / _audio(number), needed=audio.nbytes // 2) as partial:
            soundfile.write(partial, audio, rendering.RATE, format="FLAC", subtype="PCM_16")
        labels = {"path": _audio(number), **arrangement.labels, "soundfont": font}
        rows.append([labels[column] for column in COLUMNS])
    write_csv(_rows_file(plan.out, start), COLUMNS, rows)


def _write_tables(plan: Plan, pieces: list[Piece], units: Iterable[str], corpus: Path) -> None:
    """Write ``left_out.csv``, ``LICENSES.md`` and at last ``labels.csv``."""
    rows = [row for start in range(0, plan.clips, BLOCK) for row in _read_rows(plan.out, start)]
    write_csv(plan.out / "left_out.csv", ("piece", "reason"), _left_out(plan, units, corpus))
    counts = dict.fromkeys(plan.collections, 0)
    for piece in pieces:
        counts[piece.row["collection"]] += 1
    text = licences.page(counts, [font.stem for font in plan.fonts])
    write_text(plan.out / "LICENSES.md", text)
    write_csv(plan.out / "labels.csv", COLUMNS, rows)


def _left_out(plan: Plan, units: Iterable[str], corpus: Path) -> Iterator[tuple[str, str]]:
    """Yield the pieces that are not used, with the reason."""
    for name in plan.collections:
        yield from sources.files_of(name, corpus)[1].items()
    for unit in units:
        content = _read_unit(plan.out, unit)
        yield from ((name, f"music21: {why}") for name, why in content["failed"].items())
        yield from (
            (row["piece"], f"fewer than {FEWEST_NOTES} notes in every part")
            for row in content["pieces"]
            if not usable(row)
        )

"""The embedded data set: a small set of synthetic music, rendered on first use.

600 clips of 6 s: ten instruments with ten methods of synthesis, twelve pitch classes, tags, and two
continuous values. Everything is drawn from a seed and the number of the clip. The set is stored in
a cache folder with its version in the name. It is written to a temporary folder and renamed, so
that it is always complete, even if two processes render it at once.
"""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import soundfile
from tqdm import tqdm

from semisupcon.datasets.synthesis.clips import PITCHES, TAGS, render_clip
from semisupcon.datasets.synthesis.oscillators import SAMPLE_RATE
from semisupcon.datasets.synthesis.players import INSTRUMENTS
from semisupcon.errors import UserError
from semisupcon.files import disk_errors, make_folders, sync
from semisupcon.paths import cache_folder

VERSION = "synthetic-v1"
LABELS = "labels.csv"
WAV_HEADER = 44  # bytes


def synthetic_folder() -> Path:
    """Return the folder of the set: in the cache folder, by version."""
    return cache_folder() / VERSION


def complete(folder: Path, clips: int, seconds: float) -> bool:
    """Whether a folder holds the first ``clips`` clips in full size, and their labels."""
    labels = folder / LABELS
    if not os.path.isfile(labels) or len(labels.read_text().splitlines()) <= clips:
        return False
    size = WAV_HEADER + 2 * int(seconds * SAMPLE_RATE)
    files = (folder / path_of(i) for i in range(clips))
    return all(file.is_file() and file.stat().st_size == size for file in files)


def path_of(index: int) -> str:
    """Return the path of a clip, relative to the folder of the set."""
    return f"audio/{index:04d}.wav"


def render(
    folder: Path | None = None,
    clips: int = 600,
    seconds: float = 6.0,
    progress: bool = True,
) -> Path:
    """Render the set if it does not exist.

    Args:
        folder: output folder; `synthetic_folder` by default.
        clips: number of clips; clip *i* does not depend on it.
        seconds: length of a clip.
        progress: whether to show a progress bar.

    Returns:
        The folder, which holds ``audio/NNNN.wav`` (22,050 Hz, mono, 16 bit) and ``labels.csv``.

    Raises:
        UserError: if the disk is full or read-only.
    """
    folder = synthetic_folder() if folder is None else Path(folder)
    if complete(folder, clips, seconds):
        return folder
    scratch = None
    try:
        with disk_errors(folder):
            make_folders(folder.parent)
            scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            (scratch / "audio").mkdir()
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                written = pool.map(partial(_write_clip, scratch, seconds), range(clips))
                bar = tqdm(
                    written,
                    total=clips,
                    desc="rendering the synthetic set",
                    unit="clip",
                    disable=not progress,
                )
                rows = list(bar)
            pd.DataFrame(rows).to_csv(scratch / LABELS, index=False)
            for path in (scratch / LABELS, scratch / "audio", scratch):
                sync(path)
            _publish(scratch, folder)
    except UserError as error:
        if folder != synthetic_folder():
            raise
        raise UserError(
            f"{error}\nThe synthetic set is stored there; set another folder with the environment "
            "variable SEMISUPCON_CACHE."
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _write_clip(folder: Path, seconds: float, index: int) -> dict:
    audio, row = render_clip(index, seconds)
    soundfile.write(folder / path_of(index), audio, SAMPLE_RATE, subtype="PCM_16")
    sync(folder / path_of(index))
    return {"path": path_of(index), **row}


def _publish(scratch: Path, folder: Path) -> None:
    """Move a finished set to its place in one step.

    If a complete or partial set exists there, move file by file, the labels last. Files are equal
    for every writer, so two processes that do this at once leave a complete set.
    """
    try:
        scratch.rename(folder)
    except OSError:
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        for file in sorted((scratch / "audio").iterdir()):
            file.replace(folder / "audio" / file.name)
        sync(folder / "audio")
        (scratch / LABELS).replace(folder / LABELS)
        sync(folder)
    sync(folder.parent)


__all__ = [
    "INSTRUMENTS",
    "LABELS",
    "PITCHES",
    "SAMPLE_RATE",
    "TAGS",
    "synthetic_folder",
    "render",
    "render_clip",
]

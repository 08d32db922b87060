"""The embedded data set: synthetic music that is rendered when it is first used.

The set has 600 clips of 6 s. Labels are ten instruments with ten methods of synthesis, twelve pitch
classes, tags, and two continuous values. All random draws depend only on a seed and the number of
the clip. The set is stored in the cache folder, in a subfolder named by its version. It is written
to a temporary folder and then renamed, so that it is always complete, even if two processes render
it at the same time.
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
WAV_HEADER = 44  # size in bytes


def synthetic_folder() -> Path:
    """Return the folder of the synthetic set: a subfolder of the cache folder."""
    return cache_folder() / VERSION


def complete(folder: Path, clips: int, seconds: float) -> bool:
    """Return whether a folder has the first ``clips`` clips in full length, and their labels."""
    labels = folder / LABELS
    if not os.path.isfile(labels) or len(labels.read_text().splitlines()) <= clips:
        return False
    size = WAV_HEADER + 2 * int(seconds * SAMPLE_RATE)
    files = (folder / path_of(i) for i in range(clips))
    return all(file.is_file() and file.stat().st_size == size for file in files)


def path_of(index: int) -> str:
    """Return the path of the clip with number ``index``, relative to the folder of the set."""
    return f"audio/{index:04d}.wav"


def render(
    folder: Path | None = None,
    clips: int = 600,
    seconds: float = 6.0,
    progress: bool = True,
) -> Path:
    """Render the synthetic set if it does not exist.

    Args:
        folder: output folder; `synthetic_folder` by default.
        clips: number of clips. Clip *i* does not depend on this number.
        seconds: length of a clip in seconds.
        progress: whether to show a progress bar.

    Returns:
        The folder. It contains ``audio/NNNN.wav`` (22,050 Hz, mono, 16 bit) and ``labels.csv``.

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
    """Move a rendered set to its final folder in one step.

    If the folder already has a complete or partial set, files are moved one after another, the
    labels last. Every process renders equal files, so the set is also complete if two processes do
    this at the same time.
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

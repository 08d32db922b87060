"""``semisupcon hear``: apply a configuration's augmentations to a file and write wav files and
spectrograms.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.chains import build_chain
from semisupcon.commands.parsing.parser import Parser
from semisupcon.commands.parsing.ranges import (
    ABOVE_ZERO,
    GREAT,
    NOT_NEGATIVE,
    SAMPLE_RATE,
    Range,
    check_numbers,
)
from semisupcon.configuration import layered, section
from semisupcon.errors import AudioError, ConfigError
from semisupcon.files import atomic_path, write_text
from semisupcon.locks import folder_lock
from semisupcon.outputs import check_folder, refuse_existing
from semisupcon.plots.spectrograms import FLOOR_DB
from semisupcon.random import MAX_VIEWS, make_keys, stable_hash
from semisupcon.recipes import find_config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANGES = {
    "severity": Range(0, 5),
    "sample_rate": SAMPLE_RATE,
    "views": Range(1, MAX_VIEWS),
    "start": Range(0),
    "seconds": ABOVE_ZERO,
    "pass": NOT_NEGATIVE,
    "seed": Range(-GREAT, GREAT),
}
RECORD = ".hear.json"
DEFAULTS: dict[str, Any] = {"aug_list": None, "severity_modifier": 2.0, "target_sample_rate": 22050}


def parser() -> Parser:
    """Return the argument parser of ``semisupcon hear``."""
    p = Parser(prog="semisupcon hear", description=__doc__.split(": ", 1)[1])
    p.add_argument("file", type=Path, help="audio file")
    p.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        help="a pretraining recipe or YAML; a second one overrides the first",
    )
    p.add_argument(
        "--aug_list", nargs="+", help="names of augmentations; overrides the configuration"
    )
    p.add_argument("--severity", type=float, help="0 to 5; overrides the configuration")
    p.add_argument("--sample_rate", type=int, help="Hz; overrides the configuration")
    p.add_argument("--views", type=int, default=4)
    p.add_argument("--start", type=float, default=0.0, help="start in the file, in seconds")
    p.add_argument("--seconds", type=float, default=10.0)
    p.add_argument(
        "--pass",
        type=int,
        default=0,
        dest="number",
        help="number of the pass; every pass draws other parameters",
    )
    p.add_argument("--seed", type=int, default=123)
    p.add_argument(
        "--out",
        type=Path,
        default=Path("hear"),
        help="output folder for original.wav, view_1.wav, ... and spectrograms.png",
    )
    p.add_argument(
        "--overwrite", action="store_true", help="replace existing files with these names"
    )
    return p


def main(args: list[str]) -> int:
    """Write the wav files and the picture, and print the augmentations of each view.

    Returns the exit status.
    """
    options = parser().parse_args(args)
    configured = section(layered(map(find_config, options.config)), "data")
    settings = DEFAULTS | {
        name: configured[name] for name in DEFAULTS if configured.get(name) is not None
    }
    given = {
        "aug_list": options.aug_list,
        "severity_modifier": options.severity,
        "target_sample_rate": options.sample_rate,
    }
    settings |= {name: value for name, value in given.items() if value is not None}
    check_numbers(vars(options) | {"pass": options.number}, RANGES)
    check_numbers(
        {"data.target_sample_rate": settings["target_sample_rate"]},
        {"data.target_sample_rate": SAMPLE_RATE},
    )
    sample_rate = settings["target_sample_rate"]
    chain = build_chain(settings["aug_list"], settings["severity_modifier"], sample_rate)
    if chain is None:
        raise ConfigError(
            "There is nothing to hear: no augmentation is given, or the severity is 0.\nGive "
            "--config, or --aug_list gain delay ..."
        )
    names = [
        "original.wav",
        *(f"view_{i + 1}.wav" for i in range(options.views)),
        "spectrograms.png",
    ]
    own = written_before(options.out)
    refuse_existing([options.out / name for name in names if name not in own], options.overwrite)
    check_folder(options.out)
    audio = read_span(options.file, options.start, options.seconds, sample_rate)
    views, stories = augmented_views(
        audio, chain, options.views, options.file.name, options.seed, options.number
    )
    with folder_lock(options.out, "hear", "give another --out"):
        write(
            options.out,
            {"original": audio, **{f"view_{i + 1}": view for i, view in enumerate(views)}},
            sample_rate,
        )
    print(f"{options.out}/original.wav  {audio.shape[-1] / sample_rate:.2f} s at {sample_rate} Hz")
    for i, story in enumerate(stories):
        print(f"{options.out}/view_{i + 1}.wav  {story}")
    print(f"{options.out}/spectrograms.png")
    return 0


def read_span(path: Path, start: float, seconds: float, sample_rate: int) -> Tensor:
    """Read a section of an audio file as mono audio ``[T]``.

    Args:
        path: audio file.
        start: start of the section in seconds.
        seconds: length of the section; it is shorter at the end of the file.
        sample_rate: sample rate of the result in Hz.

    Raises:
        AudioError: if the file is missing, is not audio, or ends before ``start``.
    """
    from semisupcon.audio.reading import probe_file, read

    info = probe_file(path)
    first = int(start * info.sample_rate)
    if first >= info.frames:
        raise AudioError(
            f"The file ends after {info.frames / info.sample_rate:.2f} s, before the start at "
            f"{start} s.\nIn: {path}"
        )
    return torch.from_numpy(
        read(
            path, first, min(int(seconds * info.sample_rate) or 1, info.frames - first), sample_rate
        )
    )


def augmented_views(
    audio: Tensor, chain: Chain, views: int, name: str, seed: int = 0, number: int = 0
) -> tuple[Tensor, list[str]]:
    """Return V augmented views ``[V, T]`` of audio ``[T]``, and one description per view.

    The augmentations are drawn as in training.

    Args:
        audio: audio of one clip.
        chain: augmentations.
        views: number of views V.
        name: name of the clip; it determines the draws together with ``seed`` and ``number``.
        seed: seed of the run.
        number: number of the pass over the data.
    """
    key = make_keys(
        seed, torch.tensor([number]), torch.tensor([stable_hash(name)]), views
    ).flatten()
    augmented, applied, parameters = chain(audio.expand(views, 1, -1), key)
    stories = []
    for touched, values in zip(applied.tolist(), parameters.tolist(), strict=True):
        done = []
        for operator, acted, names, numbers in zip(
            chain.operators, touched, chain.parameter_names, values, strict=True
        ):
            if acted:
                settings = ", ".join(
                    f"{n} {v:.4g}" for n, v in zip(names, numbers, strict=False) if v == v
                )
                done.append(f"{operator} ({settings})" if settings else operator)
        stories.append("; ".join(done) or "unchanged: no augmentation was drawn")
    return augmented[:, 0], stories


def write(folder: Path, clips: Mapping[str, Tensor], sample_rate: int) -> None:
    """Write a wav file per clip and a picture of the spectrograms of all clips.

    Samples are stored as floats, so that values beyond full scale are not clipped.
    """
    import soundfile

    from semisupcon.plots import save_figure

    for name, clip in clips.items():
        with atomic_path(folder / f"{name}.wav") as partial:
            soundfile.write(partial, clip.numpy(), sample_rate, format="WAV", subtype="FLOAT")
    save_figure(draw_clips(clips, sample_rate), folder / "spectrograms.png")
    names = [*(f"{name}.wav" for name in clips), "spectrograms.png"]
    write_text(folder / RECORD, json.dumps({name: stamp(folder / name) for name in names}))


def written_before(folder: Path) -> set[str]:
    """Return the names of the files that the last call wrote and nobody has changed since."""
    try:
        known = dict(json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return set()
    return {
        name
        for name, was in known.items()
        if (folder / name).is_file() and stamp(folder / name) == was
    }


def stamp(file: Path) -> list[int]:
    """Return the size (bytes) and the modification time (ns) of a file."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def spectrogram_db(clip: Tensor, n_fft: int = 1024) -> np.ndarray:
    """Return the spectrogram ``[bins, frames]`` of a clip in dB relative to a full-scale sine."""
    window = torch.hann_window(n_fft)
    magnitude = torch.stft(
        clip.float(), n_fft, n_fft // 4, window=window, return_complex=True, pad_mode="constant"
    ).abs()
    return (
        (20 * torch.log10(magnitude * (2 / window.sum()) + 1e-10)).clamp(min=2 * FLOOR_DB).numpy()
    )


def draw_clips(clips: Mapping[str, Tensor], sample_rate: int, columns: int = 1) -> "Figure":
    """Draw the spectrograms of clips ``[T]``, given by title, in a grid of ``columns`` columns."""
    from semisupcon.plots import draw_spectrograms

    levels = {
        title: (spectrogram_db(clip), len(clip) / sample_rate) for title, clip in clips.items()
    }
    return draw_spectrograms(levels, sample_rate, columns)

"""Measure how fast random crops are read from several formats.

    python -m benchmarks.io [--check] [--clips 96] [--rounds 7]

The formats are wav, flac, mp3, packed, and device-resident. The published reading of SemiSupCon
with ``sf.read`` is also measured. Clips of 30 s (mono, 22,050 Hz) are written to a temporary
folder. Crops of 2.7 s are read in batches. In each round, the readers run one after the other in
another order; the files are in the page cache. Rates "per core" are those of one process with one
thread. The limits are: packed audio is at least 20 times as fast as mp3 and 5 times as fast as wav,
and the training process gets at least 10,000 crops per second from the loader.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from benchmarks.bars import Bar, all_met
from semisupcon.data.clips import Clips
from semisupcon.data.draws import divide
from semisupcon.data.loader import EndlessLoader
from semisupcon.data.packed.on_device import Places, Resident, waveforms
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.packed.writing import pack
from semisupcon.data.sampler import MixedBatchSampler
from semisupcon.data.sources import gather
from semisupcon.memory import keep_freed_memory

SAMPLE_RATE, SECONDS, CROP = 22_050, 30, 59_535
FORMATS = {"wav": {}, "flac": {}, "mp3": {"bitrate_mode": "CONSTANT", "compression_level": 0.5}}
BATCH, VIEWS, LOADED = 96, 2, 60


def write_clips(folder: Path, count: int) -> None:
    """Write clips of chords in noise in all formats."""
    time_ = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    for i in range(count):
        rng = np.random.default_rng(i)
        tones = sum(
            np.sin(2 * np.pi * f * time_ + p) / 8
            for f, p in zip(rng.uniform(80, 4000, 6), rng.uniform(0, 6, 6), strict=True)
        )
        audio = tones * (
            0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.5, 4) * time_)
        ) + 0.02 * rng.standard_normal(len(time_))
        for name, options in FORMATS.items():
            (folder / name).mkdir(exist_ok=True)
            sf.write(folder / name / f"{i:03d}.{name}", audio * 0.5, SAMPLE_RATE, **options)


def published(paths: list[str], rng: np.random.Generator) -> torch.Tensor:
    """Read a batch as the published code of SemiSupCon does.

    For each clip, it reads the header, reads a random section with ``sf.read``, and averages the
    channels. The clips are then stacked.
    """
    crops = []
    for path in paths:
        frames = sf.info(path).frames
        start = int(rng.integers(0, frames - VIEWS * CROP))
        audio, _ = sf.read(
            path, start=start, stop=start + VIEWS * CROP, dtype="float32", always_2d=True
        )
        crops.append(torch.from_numpy(audio).mean(dim=1).view(VIEWS, 1, CROP))
    return torch.stack(crops)


def readers(folder: Path, count: int, batch: int) -> dict[str, Callable[[int], object]]:
    """Return a function per reader, by name, that reads batch number t with one thread.

    Args:
        folder: folder with the clips in all formats.
        count: number of clips.
        batch: clips per batch; each clip has `VIEWS` views.
    """
    found: dict[str, Callable[[int], object]] = {}
    for name in FORMATS:
        drawn = divide(gather(data_dir=folder / name), val_split=0)
        sampler = MixedBatchSampler(
            np.arange(0), np.arange(count), drawn.table["clip"].to_numpy(), batch
        )
        clips = Clips(drawn, SAMPLE_RATE, CROP, VIEWS)
        found[name] = lambda t, clips=clips, sampler=sampler: clips.__getitems__(sampler.batch(t))
        paths, rng = drawn.table["path"].tolist(), np.random.default_rng(0)
        found[f"{name}, sf.read"] = lambda t, paths=paths, rng=rng: published(
            [paths[i] for i in rng.integers(0, count, batch)], rng
        )
    clips, sampler = packed_clips(folder, count, batch)
    found["packed"] = lambda t: clips.__getitems__(sampler.batch(t))
    if torch.cuda.is_available():
        device = torch.device("cuda")
        places, resident = Places(clips), Resident(clips.audio, device)

        def cut(t: int) -> object:
            read = places.__getitems__(sampler.batch(t))
            moved = {name: value.to(device) for name, value in read.items()}
            audio = waveforms(moved, clips, resident)["audio"]
            torch.cuda.synchronize()
            return audio

        found["device-resident"] = cut
    return found


def packed_clips(folder: Path, count: int, batch: int) -> tuple[Clips, MixedBatchSampler]:
    """Pack the wav clips, and return them with a sampler."""
    sources = {
        "sl_task": None,
        "ssl_task": None,
        "data_dir": str(folder / "wav"),
        "sl_kwargs": None,
        "ssl_kwargs": None,
    }
    packed = Packed(pack(gather(**sources), sources, SAMPLE_RATE, folder / "packed"))
    drawn = divide(packed.clips, val_split=0)
    clips = Clips(drawn, SAMPLE_RATE, CROP, VIEWS, audio=PackedAudio(packed.folder, drawn.table))
    return clips, MixedBatchSampler(
        np.arange(0), np.arange(count), drawn.table["clip"].to_numpy(), batch
    )


def rate(read: Callable[[int], object], first: int, seconds: float, batch: int) -> float:
    """Measure the crops per second of a reader during at least ``seconds``."""
    begin, number = time.perf_counter(), 0
    while (taken := time.perf_counter() - begin) < seconds or number == 0:
        read(first + number)
        number += 1
    return number * batch * VIEWS / taken


def loader_rate(clips: Clips, sampler: MixedBatchSampler, num_workers: int, batches: int) -> float:
    """Measure the crops per second that a data loader gives to the training process.

    The first batches are not counted.
    """
    loader = EndlessLoader(clips, sampler, lambda: 0, "", num_workers)
    loader.sequence.start = 0
    iterator = iter(loader.loader)
    for _ in range(10):
        next(iterator)
    begin = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * sampler.batch_size * VIEWS / (time.perf_counter() - begin)


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each reader in each round")
    parser.add_argument("--tiny", action="store_true", help="does it run? two clips, once")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(args)
    batch, loaded = BATCH, LOADED
    if options.tiny:
        options.clips, options.rounds, options.seconds, batch, loaded = 2, 1, 0.0, 2, 2
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        keep_freed_memory()  # as ``semisupcon pretrain`` does
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["SEMISUPCON_CACHE"] = str(folder / "cache")
        write_clips(folder, options.clips)
        found = readers(folder, options.clips, batch)
        clips, sampler = packed_clips(folder, options.clips, batch)
        rates: dict[str, list[float]] = {name: [] for name in found}
        loaders: dict[int, list[float]] = {0: [], 2: []}
        for read in found.values():
            read(0)
        for number in range(options.rounds):
            for name, read in list(found.items())[:: 1 if number % 2 else -1]:
                for path in (folder / name.partition(",")[0]).rglob("*.*"):
                    # Read all files, which puts them into the page cache: the benchmark does not
                    # measure the speed of the disk.
                    path.read_bytes()
                rates[name].append(rate(read, 1 + 1000 * number, options.seconds, batch))
            for workers, taken in loaders.items():
                taken.append(loader_rate(clips, sampler, workers, loaded))
    median = {name: statistics.median(taken) for name, taken in rates.items()}
    print(
        f"crops of {CROP / SAMPLE_RATE:g} s a second on one core, median of {options.rounds} "
        "rounds\n"
    )
    for name, value in median.items():
        print(f"  {name:<20} {value:>10,.0f}")
    print("\nthrough the loader, packed\n")
    for workers, taken in loaders.items():
        what = "a thread (recommended)" if workers == 0 else f"{workers} processes"
        print(f"  {what:<24} {statistics.median(taken):>8,.0f}")
    results = [
        Bar("packed_over_mp3", median["packed"] / median["mp3"], 20),
        Bar("packed_over_wav", median["packed"] / median["wav"], 5),
        Bar("packed_loader_crops_per_second", statistics.median(loaders[0]), 10_000),
    ]
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
